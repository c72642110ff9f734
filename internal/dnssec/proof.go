package dnssec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/internal/safetext"

	"github.com/miekg/dns"
)

// A proof is the validated NSEC or NSEC3 records of an answer: a denial of existence.
type proof struct {
	nsec  []*dns.NSEC
	nsec3 []*dns.NSEC3
}

// Limits of NSEC3. A proof needs three records at most (RFC 5155, Section 7.2), and more
// iterations have no use (RFC 9276, Section 3.2).
const (
	maxProofs     = 8
	maxIterations = 150
)

// optOut is the flag of an NSEC3 record in whose gap unsigned zones may begin (RFC 5155, Section 6).
const optOut = 1

var (
	errOptOut  = errors.New("unsigned names may exist (NSEC3 opt-out)")
	errNoProof = errors.New("no proof that there is no such record")
)

// proof validates the NSEC or NSEC3 records of an answer about a name. The name must be in
// their zone: the last record of any other zone seems to cover it too. Without such records,
// the zone of the name must be unsigned.
func (v *Validator) proof(ctx context.Context, name string, answer *dns.Msg) (p proof, status Status, err error) {
	seen := make(map[string]bool)
	for _, record := range answer.Ns {
		header := record.Header()
		owner := dns.CanonicalName(header.Name)
		if header.Rrtype != dns.TypeNSEC && header.Rrtype != dns.TypeNSEC3 || seen[owner] {
			continue
		}
		if seen[owner] = true; len(seen) > maxProofs {
			return p, Bogus, errLimit
		}
		s := find(answer.Ns, owner, header.Rrtype)
		sig, status, err := v.signed(ctx, s)
		if status != Secure {
			return p, status, err
		}
		if !within(name, dns.CanonicalName(sig.SignerName)) {
			return p, Bogus, s.bogus("is from another zone than %s", safetext.Printable(name))
		}
		if int(sig.Labels) < labels(owner) { // it would deny what is at any name below the wildcard's parent
			return p, Bogus, s.bogus("is from a wildcard")
		}
		switch record := record.(type) {
		case *dns.NSEC:
			p.nsec = append(p.nsec, record)
		case *dns.NSEC3:
			if record.Iterations > maxIterations {
				return p, Insecure, nil
			}
			if record.Hash == dns.SHA1 && record.Flags&^optOut == 0 { // RFC 5155, Sections 8.1 and 8.2
				p.nsec3 = append(p.nsec3, record)
			}
		}
	}
	if len(seen) == 0 {
		status, err = v.validateUnsigned(ctx, name)
		return p, status, err
	}
	return p, Secure, nil
}

// validateDenial validates that there is no record of a name and type.
func (v *Validator) validateDenial(ctx context.Context, name string, rrtype uint16, answer *dns.Msg) (Status, error) {
	p, status, err := v.proof(ctx, name, answer)
	if status != Secure {
		return status, err
	}
	switch err := p.provesAbsence(name, rrtype); {
	case errors.Is(err, errOptOut):
		return Insecure, nil
	case err != nil:
		return Bogus, fmt.Errorf("%w: %s of %s", err, dns.TypeToString[rrtype], safetext.Printable(name))
	}
	return Secure, nil
}

// validateWildcard validates an answer from a wildcard: neither the name itself nor any between it
// and the wildcard's parent may exist (RFC 4035, Section 5.3.4; RFC 5155, Section 8.8).
func (v *Validator) validateWildcard(ctx context.Context, name string, sig *dns.RRSIG, answer *dns.Msg) (Status, error) {
	p, status, err := v.proof(ctx, name, answer)
	if status != Secure {
		return status, err
	}
	switch err := p.denies(ancestor(name, int(sig.Labels)+1)); {
	case errors.Is(err, errOptOut): // Section 9.2
		return Insecure, nil
	case err != nil:
		return Bogus, fmt.Errorf("%w: %s, answered by a wildcard", err, safetext.Printable(name))
	}
	return Secure, nil
}

// isDelegation reports, from a denial of the DS record of a name below the root, whether a zone
// begins there.
func (p proof) isDelegation(name string) (bool, error) {
	if types, ok := p.at(name); ok {
		if slices.Contains(types, dns.TypeDS) || slices.Contains(types, dns.TypeSOA) {
			return false, errNoProof
		}
		return slices.Contains(types, dns.TypeNS), nil
	}
	return false, p.provesAbsence(name, dns.TypeDS)
}

// provesAbsence returns nil if the records prove that a name has no record of a type.
func (p proof) provesAbsence(name string, rrtype uint16) error {
	if types, ok := p.at(name); ok {
		if slices.Contains(types, rrtype) || slices.Contains(types, dns.TypeCNAME) || delegation(types) && rrtype != dns.TypeDS {
			return errNoProof
		}
		return nil
	}
	encloser, err := p.closestEncloser(name)
	if err != nil || encloser == "" {
		return err
	}
	wildcard := "*." + strings.TrimPrefix(encloser, ".")
	if types, ok := p.at(wildcard); ok {
		if slices.Contains(types, rrtype) || slices.Contains(types, dns.TypeCNAME) {
			return errNoProof
		}
		return nil
	}
	if err := p.denies(wildcard); !errors.Is(err, errOptOut) { // no zone begins at a wildcard
		return err
	}
	return nil
}

// delegation reports, from the types at a name, whether another zone begins there. If so, a
// record of the parent zone proves nothing about the name or names below it.
func delegation(types []uint16) bool {
	return slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeSOA)
}

// at returns the types at a name, if a record lists them.
func (p proof) at(name string) ([]uint16, bool) {
	for _, n := range p.nsec {
		if dns.CanonicalName(n.Hdr.Name) == name {
			return n.TypeBitMap, true
		}
	}
	for _, n := range p.nsec3 {
		if n.Match(name) {
			return n.TypeBitMap, true
		}
	}
	return nil, false
}

// denies returns nil if the records prove that neither a name nor a name below it exists, and
// errOptOut if they prove that but for unsigned zones.
func (p proof) denies(name string) error {
	if slices.ContainsFunc(p.nsec, func(n *dns.NSEC) bool { return covers(n, name) && !below(dns.CanonicalName(n.NextDomain), name) }) {
		return nil
	}
	i := slices.IndexFunc(p.nsec3, func(n *dns.NSEC3) bool { return coversHash(n, name) })
	switch {
	case i < 0:
		return errNoProof
	case p.nsec3[i].Flags&optOut != 0:
		return errOptOut
	}
	return nil
}

// closestEncloser returns the closest existing ancestor of a name that does not exist; empty
// if there are names below it, so that it exists without records (RFC 4592, Section 2.2.2).
func (p proof) closestEncloser(name string) (string, error) {
	for _, n := range p.nsec {
		if !covers(n, name) {
			continue
		}
		owner, next := dns.CanonicalName(n.Hdr.Name), dns.CanonicalName(n.NextDomain)
		if below(next, name) {
			return "", nil
		}
		if below(name, owner) && (delegation(n.TypeBitMap) || slices.Contains(n.TypeBitMap, dns.TypeDNAME)) {
			return "", errNoProof
		}
		shared := max(dns.CompareDomainName(owner, name), dns.CompareDomainName(next, name))
		return ancestor(name, shared), nil
	}
	for child, above := name, parent(name); child != "."; child, above = above, parent(above) {
		types, ok := p.at(above)
		if !ok {
			continue
		}
		if delegation(types) || slices.Contains(types, dns.TypeDNAME) {
			return "", errNoProof
		}
		return above, p.denies(child)
	}
	return "", errNoProof
}

// ancestor returns the last labels of a name.
func ancestor(name string, labels int) string {
	for dns.CountLabel(name) > labels {
		name = parent(name)
	}
	return name
}

// covers reports whether a name lies in the gap of an NSEC record.
func covers(n *dns.NSEC, name string) bool {
	after, before := compare(n.Hdr.Name, name) < 0, compare(name, n.NextDomain) < 0
	if compare(n.Hdr.Name, n.NextDomain) < 0 {
		return after && before
	}
	return after || before // the last record of a zone, whose next name is the apex
}

// coversHash reports whether the hash of a name lies in the gap of an NSEC3 record. [dns.NSEC3.Cover]
// says so of the name at which a gap begins, too, which exists.
func coversHash(n *dns.NSEC3, name string) bool { return n.Cover(name) && !n.Match(name) }

// compare compares names in the canonical order of RFC 4034, Section 6.1.
func compare(a, b string) int {
	x, y := canonicalLabels(a), canonicalLabels(b)
	for len(x) > 0 && len(y) > 0 {
		if order := bytes.Compare(x[len(x)-1], y[len(y)-1]); order != 0 {
			return order
		}
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	return len(x) - len(y)
}

// canonicalLabels returns the labels of a name in lower case, unescaped; none if it is not a
// valid name.
func canonicalLabels(name string) (all [][]byte) {
	packed := make([]byte, 256)
	if _, err := dns.PackDomainName(dns.CanonicalName(name), packed, 0, nil, false); err != nil {
		return nil
	}
	for i := 0; packed[i] > 0; i += 1 + int(packed[i]) {
		all = append(all, packed[i+1:i+1+int(packed[i])])
	}
	return all
}
