package dnssec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"postern/internal/safetext"

	"github.com/miekg/dns"
)

// A zone is the status of a zone: its keys if it is secure, the error if it is bogus or
// indeterminate.
type zone struct {
	status Status
	keys   keys
	err    error
}

// keys are the keys of a zone, by their key tags.
type keys map[uint16][]*dns.DNSKEY

// zone returns a zone, validated by the chain of trust.
func (v *Validator) zone(ctx context.Context, name string) zone {
	return cached(v.zones, name, zone{status: Bogus, err: errLoop(name)}, func() zone { return v.loadZone(ctx, name) })
}

// cached returns the value of a name, which find finds once. Meanwhile the value is loop: a
// chain of trust that leads to itself.
func cached[T any](known map[string]T, name string, loop T, find func() T) T {
	value, ok := known[name]
	if !ok {
		known[name] = loop
		value = find()
		known[name] = value
	}
	return value
}

func errLoop(name string) error {
	return fmt.Errorf("%s is signed by itself only", safetext.Printable(name))
}

func (v *Validator) loadZone(ctx context.Context, name string) zone {
	anchors := v.anchors
	if name != "." {
		c := v.cut(ctx, name)
		if c.status != Secure {
			return zone{status: c.status, err: c.err}
		}
		if anchors = c.anchors; len(anchors) == 0 {
			return zone{status: Bogus, err: fmt.Errorf("%s has signatures, but is not a zone", safetext.Printable(name))}
		}
	}
	usable := slices.DeleteFunc(slices.Clone(anchors), func(ds *dns.DS) bool { return !isSupported(ds) })
	isSHA1 := func(ds *dns.DS) bool { return ds.DigestType == dns.SHA1 }
	if better := slices.DeleteFunc(slices.Clone(usable), isSHA1); len(better) > 0 {
		usable = better // RFC 4509, Section 3
	}
	if len(usable) == 0 && name != "." {
		return zone{status: Insecure}
	}
	answer, err := v.lookUp(ctx, name, dns.TypeDNSKEY)
	if err != nil {
		return zone{err: err}
	}
	return v.verifyKeys(find(answer.Answer, name, dns.TypeDNSKEY), usable)
}

// isSupported reports whether the algorithms of a DS record are supported (RFC 8624).
func isSupported(ds *dns.DS) bool {
	switch ds.Algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return ds.DigestType == dns.SHA1 || ds.DigestType == dns.SHA256 || ds.DigestType == dns.SHA384
	}
	return false
}

// verifyKeys verifies the keys of a zone: one that matches a DS record must sign them (RFC
// 4035, Section 5.2).
func (v *Validator) verifyKeys(s rrset, anchors []*dns.DS) zone {
	all, trusted := make(keys), make(keys)
	for _, record := range s.records {
		key, ok := record.(*dns.DNSKEY)
		if !ok || key.Flags&dns.ZONE == 0 || key.Protocol != 3 {
			continue
		}
		tag := key.KeyTag()
		all[tag] = append(all[tag], key)
		matches, err := v.matchesDS(key, tag, anchors)
		if err != nil {
			return zone{err: err}
		}
		if matches {
			trusted[tag] = append(trusted[tag], key)
		}
	}
	if len(all) == 0 && s.name == "." {
		return zone{err: errors.New("the resolver returns no root keys: it does not support DNSSEC")}
	}
	if len(trusted) == 0 {
		return zone{status: Bogus, err: fmt.Errorf("no key of %s matches its DS records or the trust anchors", safetext.Printable(s.name))}
	}
	why := fmt.Errorf("the keys of %s are not signed", safetext.Printable(s.name))
	for _, sig := range s.signatures {
		if why = v.verify(s, sig, trusted); why == nil {
			return zone{status: Secure, keys: all}
		}
	}
	return zone{status: Bogus, err: why}
}

// matchesDS reports whether a key matches one of several DS records.
func (v *Validator) matchesDS(key *dns.DNSKEY, tag uint16, all []*dns.DS) (bool, error) {
	for _, ds := range all {
		if ds.KeyTag != tag || ds.Algorithm != key.Algorithm {
			continue
		}
		if v.digests++; v.digests > maxDigests {
			return false, errLimit
		}
		if made := key.ToDS(ds.DigestType); made != nil && strings.EqualFold(made.Digest, ds.Digest) {
			return true, nil
		}
	}
	return false, nil
}

// A cut says whether a zone begins at a name (a zone cut): [Secure] with DS records if a
// signed one does, [Insecure] if an unsigned one does, Secure without records if none does.
type cut struct {
	status  Status
	begins  bool // a zone does
	anchors []*dns.DS
	err     error
}

func (v *Validator) cut(ctx context.Context, name string) cut {
	return cached(v.cuts, name, cut{status: Bogus, err: errLoop(name)}, func() cut { return v.lookUpCut(ctx, name) })
}

func (v *Validator) lookUpCut(ctx context.Context, name string) cut {
	answer, err := v.lookUp(ctx, name, dns.TypeDS)
	if err != nil {
		return cut{err: err}
	}
	s := find(answer.Answer, name, dns.TypeDS)
	if len(s.records) == 0 {
		if alias := find(answer.Answer, name, dns.TypeCNAME); len(alias.signatures) > 0 {
			status, err := v.validatePositive(ctx, alias, answer)
			return cut{status: status, err: err}
		}
		return v.cutWithoutDS(ctx, name, answer)
	}
	if len(s.signatures) == 0 {
		status, err := v.validateUnsigned(ctx, parent(name))
		return cut{status: status, err: err}
	}
	sig, status, err := v.signed(ctx, s)
	if status == Secure {
		status, err = v.validateSigner(ctx, s, sig, parent(name))
	}
	c := cut{status: status, begins: true, err: err}
	for _, record := range s.records {
		if ds, ok := record.(*dns.DS); ok {
			c.anchors = append(c.anchors, ds)
		}
	}
	return c
}

// cutWithoutDS returns, from the proof that there is no DS record, whether an unsigned zone
// begins there.
func (v *Validator) cutWithoutDS(ctx context.Context, name string, answer *dns.Msg) cut {
	proof, status, err := v.proof(ctx, parent(name), answer)
	if err != nil {
		err = fmt.Errorf("proof that %s has no DS record: %w", safetext.Printable(name), err)
	}
	if status != Secure {
		return cut{status: status, err: err}
	}
	begins, err := proof.isDelegation(name)
	switch {
	case errors.Is(err, errOptOut) || err == nil && begins:
		return cut{status: Insecure, begins: true}
	case err != nil:
		return cut{status: Bogus, err: fmt.Errorf("%w: DS of %s", err, safetext.Printable(name))}
	}
	return cut{status: Secure}
}

// validateUnsigned validates records without signatures: an unsigned zone must begin at the
// name or above it.
func (v *Validator) validateUnsigned(ctx context.Context, name string) (Status, error) {
	for _, i := range slices.Backward(dns.Split(name)) {
		if c := v.cut(ctx, name[i:]); c.status != Secure {
			return c.status, c.err
		}
	}
	return Bogus, fmt.Errorf("the answer for %s is not signed, but its zone is", safetext.Printable(name))
}

// rootAnchors are the root's key-signing keys of 2017 and 2024, from
// https://data.iana.org/root-anchors/root-anchors.xml (RFC 9718).
var rootAnchors = []*dns.DS{
	rootDS(20326, "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"),
	rootDS(38696, "683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16"),
}

func rootDS(tag uint16, digest string) *dns.DS {
	return &dns.DS{
		Hdr:    dns.RR_Header{Name: ".", Rrtype: dns.TypeDS, Class: dns.ClassINET},
		KeyTag: tag, Algorithm: dns.RSASHA256, DigestType: dns.SHA256, Digest: digest,
	}
}

// RootAnchors returns the trust anchors of the root, as of November 2026.
func RootAnchors() []*dns.DS { return append([]*dns.DS(nil), rootAnchors...) }

// ReadAnchors reads trust anchors of the root from a zone file with DS or DNSKEY records, of
// which it reads at most 64 KiB.
func ReadAnchors(r io.Reader) ([]*dns.DS, error) {
	var anchors []*dns.DS
	parser := dns.NewZoneParser(io.LimitReader(r, 64<<10), ".", "")
	parser.SetDefaultTTL(0)
	for record, ok := parser.Next(); ok; record, ok = parser.Next() {
		if name := record.Header().Name; name != "." {
			return nil, fmt.Errorf("dnssec: trust anchor for %s: must be for the root", safetext.Printable(name))
		}
		switch record := record.(type) {
		case *dns.DS:
			anchors = append(anchors, record)
		case *dns.DNSKEY:
			if ds := record.ToDS(dns.SHA256); ds != nil {
				anchors = append(anchors, ds)
			}
		}
	}
	if err := parser.Err(); err != nil {
		return nil, fmt.Errorf("dnssec: reading trust anchors: %w", err)
	}
	if anchors == nil {
		return nil, errors.New("dnssec: no DS or DNSKEY record for the root")
	}
	return anchors, nil
}
