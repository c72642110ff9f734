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

// A proof is the NSEC or NSEC3 records of an answer, validated: what is not there.
type proof struct {
	gaps   []*dns.NSEC
	hashed []*dns.NSEC3
}

// Bounds of NSEC3: a proof has three records at most (RFC 5155, Section 7.2), and more
// iterations than these are work for nothing (RFC 9276, Section 3.2).
const (
	maxProofs     = 8
	maxIterations = 150
)

var (
	errOptedOut = errors.New("names without a signature may be there (NSEC3 opt-out)")
	errUnproved = errors.New("it is not proved that there is no such record")
)

// proof validates the records of a denial about a name, which has to lie in the zone
// that they are of: the last gap of any other zone seems to hold it, too. Without any,
// the zone of the name has to be unsigned.
func (v *Validator) proof(ctx context.Context, name string, answer *dns.Msg) (p proof, status Status, err error) {
	seen := make(map[string]bool)
	for _, record := range answer.Ns {
		header := record.Header()
		owner := dns.CanonicalName(header.Name)
		if header.Rrtype != dns.TypeNSEC && header.Rrtype != dns.TypeNSEC3 || seen[owner] {
			continue
		}
		if seen[owner] = true; len(seen) > maxProofs {
			return p, Bogus, errTooMuch
		}
		s := find(answer.Ns, owner, header.Rrtype)
		sig, status, err := v.signed(ctx, s)
		if status != Secure {
			return p, status, err
		}
		if !within(name, dns.CanonicalName(sig.SignerName)) {
			return p, Bogus, s.bogus("is of another zone than %s", safetext.Printable(name))
		}
		switch record := record.(type) {
		case *dns.NSEC:
			p.gaps = append(p.gaps, record)
		case *dns.NSEC3:
			if record.Iterations > maxIterations {
				return p, Insecure, nil
			}
			p.hashed = append(p.hashed, record)
		}
	}
	if len(seen) == 0 {
		status, err = v.unsigned(ctx, name)
		return p, status, err
	}
	return p, Secure, nil
}

// denied validates that there is no record of a name and kind.
func (v *Validator) denied(ctx context.Context, name string, kind uint16, answer *dns.Msg) (Status, error) {
	p, status, err := v.proof(ctx, name, answer)
	if status != Secure {
		return status, err
	}
	switch err := p.lacks(name, kind); {
	case errors.Is(err, errOptedOut):
		return Insecure, nil
	case err != nil:
		return Bogus, fmt.Errorf("%w: %s of %s", err, dns.TypeToString[kind], safetext.Printable(name))
	}
	return Secure, nil
}

// expanded validates that a wildcard answers for a name by right: the name itself is
// not there (RFC 4035, Section 5.3.4).
func (v *Validator) expanded(ctx context.Context, name string, sig *dns.RRSIG, answer *dns.Msg) (Status, error) {
	p, status, err := v.proof(ctx, name, answer)
	if status != Secure {
		return status, err
	}
	next := name
	for labels(next) > int(sig.Labels)+1 {
		next = parent(next)
	}
	if slices.ContainsFunc(p.gaps, func(n *dns.NSEC) bool { return covers(n, name) }) ||
		slices.ContainsFunc(p.hashed, func(n *dns.NSEC3) bool { return n.Cover(next) }) {
		return Secure, nil
	}
	return Bogus, fmt.Errorf("%w: %s, for which a wildcard answers", errUnproved, safetext.Printable(name))
}

// delegates tells from a denial of its DS record whether a zone begins at a name.
func (p proof) delegates(name string) (bool, error) {
	if types, ok := p.at(name); ok {
		if slices.Contains(types, dns.TypeDS) || slices.Contains(types, dns.TypeSOA) && name != "." {
			return false, fmt.Errorf("%w: DS of %s", errUnproved, safetext.Printable(name))
		}
		return slices.Contains(types, dns.TypeNS), nil
	}
	return false, p.lacks(name, dns.TypeDS)
}

// lacks returns nil if the records prove that a name has no record of a kind.
func (p proof) lacks(name string, kind uint16) error {
	if types, ok := p.at(name); ok {
		if slices.Contains(types, kind) || slices.Contains(types, dns.TypeCNAME) || delegation(types) && kind != dns.TypeDS {
			return errUnproved
		}
		return nil
	}
	encloser, err := p.encloser(name)
	if err != nil || encloser == "" {
		return err
	}
	wildcard := "*." + strings.TrimPrefix(encloser, ".")
	if types, ok := p.at(wildcard); ok && !slices.Contains(types, kind) && !slices.Contains(types, dns.TypeCNAME) || !ok && p.absent(wildcard) {
		return nil
	}
	return errUnproved
}

// delegation tells of the types at a name whether another zone begins there: then the
// record of the zone above says nothing of what is there and below.
func delegation(types []uint16) bool {
	return slices.Contains(types, dns.TypeNS) && !slices.Contains(types, dns.TypeSOA)
}

// at returns the types at a name, if a record says what they are.
func (p proof) at(name string) ([]uint16, bool) {
	for _, n := range p.gaps {
		if dns.CanonicalName(n.Hdr.Name) == name {
			return n.TypeBitMap, true
		}
	}
	for _, n := range p.hashed {
		if n.Match(name) {
			return n.TypeBitMap, true
		}
	}
	return nil, false
}

// absent tells whether it is proved that a name is not there, nor anything below it.
func (p proof) absent(name string) bool {
	return slices.ContainsFunc(p.gaps, func(n *dns.NSEC) bool { return covers(n, name) && !below(dns.CanonicalName(n.NextDomain), name) }) ||
		slices.ContainsFunc(p.hashed, func(n *dns.NSEC3) bool { return n.Cover(name) })
}

// encloser is the name nearest above a name that is not there; empty where names are
// below it, so that it is there without records (RFC 4592, Section 2.2.2).
func (p proof) encloser(name string) (string, error) {
	for _, n := range p.gaps {
		if !covers(n, name) {
			continue
		}
		owner, next := dns.CanonicalName(n.Hdr.Name), dns.CanonicalName(n.NextDomain)
		if below(next, name) {
			return "", nil
		}
		if below(name, owner) && (delegation(n.TypeBitMap) || slices.Contains(n.TypeBitMap, dns.TypeDNAME)) {
			return "", errUnproved
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
			return "", errUnproved
		}
		for _, n := range p.hashed {
			if n.Cover(child) {
				if n.Flags&1 != 0 {
					return "", errOptedOut
				}
				return above, nil
			}
		}
		break
	}
	return "", errUnproved
}

// ancestor is the last labels of a name.
func ancestor(name string, labels int) string {
	for dns.CountLabel(name) > labels {
		name = parent(name)
	}
	return name
}

// covers tells whether a name lies in the gap that an NSEC record speaks of.
func covers(n *dns.NSEC, name string) bool {
	after, before := compare(n.Hdr.Name, name) < 0, compare(name, n.NextDomain) < 0
	if compare(n.Hdr.Name, n.NextDomain) < 0 {
		return after && before
	}
	return after || before // the last gap of a zone, back to its apex
}

// compare orders names as RFC 4034, Section 6.1 does.
func compare(a, b string) int {
	x, y := wire(a), wire(b)
	for len(x) > 0 && len(y) > 0 {
		if order := bytes.Compare(x[len(x)-1], y[len(y)-1]); order != 0 {
			return order
		}
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	return len(x) - len(y)
}

// wire are the labels of a name in lower case, unescaped. Of what is no name there are
// none.
func wire(name string) (all [][]byte) {
	packed := make([]byte, 256)
	n, err := dns.PackDomainName(dns.CanonicalName(name), packed, 0, nil, false)
	if err != nil {
		return nil
	}
	for i := 0; i < n && packed[i] > 0; i += 1 + int(packed[i]) {
		all = append(all, packed[i+1:i+1+int(packed[i])])
	}
	return all
}
