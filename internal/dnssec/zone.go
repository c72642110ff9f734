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

// A zone is what is known of one: its keys if it is secure, and why if it is bogus or
// could not be told.
type zone struct {
	status Status
	keys   []*dns.DNSKEY
	err    error
}

// zone leads from the anchors to a zone.
func (v *Validator) zone(ctx context.Context, name string) zone {
	known, ok := v.zones[name]
	if !ok {
		// Until it is known: a zone that leads to itself is none.
		v.zones[name] = zone{status: Bogus, err: fmt.Errorf("%s vouches for itself", safetext.Printable(name))}
		known = v.enter(ctx, name)
		v.zones[name] = known
	}
	return known
}

func (v *Validator) enter(ctx context.Context, name string) zone {
	anchors := v.anchors
	if name != "." {
		c := v.cut(ctx, name)
		if c.status != Secure {
			return zone{status: c.status, err: c.err}
		}
		if anchors = c.anchors; len(anchors) == 0 {
			return zone{status: Bogus, err: fmt.Errorf("%s signs, and is no zone of its own", safetext.Printable(name))}
		}
	}
	usable := slices.DeleteFunc(slices.Clone(anchors), func(ds *dns.DS) bool { return !known(ds) })
	if len(usable) == 0 && name != "." {
		return zone{status: Insecure}
	}
	answer, err := v.question(ctx, name, dns.TypeDNSKEY)
	if err != nil {
		return zone{err: err}
	}
	return v.unlock(find(answer.Answer, name, dns.TypeDNSKEY), usable)
}

// known tells whether the algorithms of a DS record can be verified (RFC 8624).
func known(ds *dns.DS) bool {
	switch ds.Algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return ds.DigestType == dns.SHA1 || ds.DigestType == dns.SHA256 || ds.DigestType == dns.SHA384
	}
	return false
}

// unlock trusts the keys of a zone that are signed by one that a DS record is of (RFC
// 4035, Section 5.2).
func (v *Validator) unlock(s set, anchors []*dns.DS) zone {
	var all, trusted []*dns.DNSKEY
	for _, record := range s.records {
		key, ok := record.(*dns.DNSKEY)
		if !ok || key.Flags&dns.ZONE == 0 || key.Protocol != 3 {
			continue
		}
		all = append(all, key)
		if slices.ContainsFunc(anchors, func(ds *dns.DS) bool { return vouches(ds, key) }) {
			trusted = append(trusted, key)
		}
	}
	if all == nil && s.name == "." {
		return zone{err: errors.New("the resolver has no keys of the root: it knows nothing of DNSSEC")}
	}
	if trusted == nil {
		return zone{status: Bogus, err: fmt.Errorf("no key of %s fits its DS records or the trust anchor", safetext.Printable(s.name))}
	}
	why := fmt.Errorf("the keys of %s are not signed", safetext.Printable(s.name))
	for _, sig := range s.signatures {
		if why = v.verify(s, sig, trusted); why == nil {
			return zone{status: Secure, keys: all}
		}
	}
	return zone{status: Bogus, err: why}
}

func vouches(ds *dns.DS, key *dns.DNSKEY) bool {
	if ds.KeyTag != key.KeyTag() || ds.Algorithm != key.Algorithm {
		return false
	}
	made := key.ToDS(ds.DigestType)
	return made != nil && strings.EqualFold(made.Digest, ds.Digest)
}

// A cut is whether a zone begins at a name: [Secure] with DS records, [Insecure] for
// one that is not signed, and Secure without records where none begins.
type cut struct {
	status  Status
	anchors []*dns.DS
	err     error
}

func (v *Validator) cut(ctx context.Context, name string) cut {
	known, ok := v.cuts[name]
	if !ok {
		v.cuts[name] = cut{status: Bogus, err: fmt.Errorf("%s vouches for itself", safetext.Printable(name))}
		known = v.look(ctx, name)
		v.cuts[name] = known
	}
	return known
}

func (v *Validator) look(ctx context.Context, name string) cut {
	answer, err := v.question(ctx, name, dns.TypeDS)
	if err != nil {
		return cut{err: err}
	}
	s := find(answer.Answer, name, dns.TypeDS)
	if len(s.records) == 0 {
		return v.withoutDS(ctx, name, answer)
	}
	if len(s.signatures) == 0 {
		status, err := v.unsigned(ctx, parent(name))
		return cut{status: status, err: err}
	}
	_, status, err := v.signed(ctx, s)
	c := cut{status: status, err: err}
	for _, record := range s.records {
		if ds, ok := record.(*dns.DS); ok && status == Secure {
			c.anchors = append(c.anchors, ds)
		}
	}
	return c
}

// withoutDS tells by the proof that there is no DS record whether an unsigned zone
// begins there, or none.
func (v *Validator) withoutDS(ctx context.Context, name string, answer *dns.Msg) cut {
	proof, status, err := v.proof(ctx, parent(name), answer)
	if err != nil {
		err = fmt.Errorf("that %s has no DS record: %w", safetext.Printable(name), err)
	}
	if status != Secure {
		return cut{status: status, err: err}
	}
	begins, err := proof.delegates(name)
	switch {
	case errors.Is(err, errOptedOut):
		return cut{status: Insecure}
	case err != nil:
		return cut{status: Bogus, err: err}
	case begins:
		return cut{status: Insecure}
	}
	return cut{status: Secure}
}

// unsigned tells of what has no signature whether that is as it should be: an unsigned
// zone begins at the name or above it.
func (v *Validator) unsigned(ctx context.Context, name string) (Status, error) {
	for _, i := range slices.Backward(dns.Split(name)) {
		if c := v.cut(ctx, name[i:]); c.status != Secure {
			return c.status, c.err
		}
	}
	return Bogus, fmt.Errorf("what is said of %s is not signed, though its zone is", safetext.Printable(name))
}

// rootAnchors are the root's key-signing keys of 2017 and 2024, as
// https://data.iana.org/root-anchors/root-anchors.xml has them (RFC 9718).
var rootAnchors = []*dns.DS{
	rootKey(20326, "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"),
	rootKey(38696, "683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16"),
}

func rootKey(tag uint16, digest string) *dns.DS {
	return &dns.DS{
		Hdr:    dns.RR_Header{Name: ".", Rrtype: dns.TypeDS, Class: dns.ClassINET},
		KeyTag: tag, Algorithm: dns.RSASHA256, DigestType: dns.SHA256, Digest: digest,
	}
}

// RootAnchors returns the trust anchors of the root that were known when this was
// written, in November 2026.
func RootAnchors() []*dns.DS { return append([]*dns.DS(nil), rootAnchors...) }

// ReadAnchors reads trust anchors of the root from a zone file with DS or DNSKEY
// records. At most 64 KiB are read.
func ReadAnchors(r io.Reader) ([]*dns.DS, error) {
	var anchors []*dns.DS
	parser := dns.NewZoneParser(io.LimitReader(r, 64<<10), ".", "")
	parser.SetDefaultTTL(0)
	for record, ok := parser.Next(); ok; record, ok = parser.Next() {
		if name := record.Header().Name; name != "." {
			return nil, fmt.Errorf("dnssec: a trust anchor of %s: want one of the root", safetext.Printable(name))
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
		return nil, fmt.Errorf("dnssec: trust anchors: %w", err)
	}
	if anchors == nil {
		return nil, errors.New("dnssec: no DS or DNSKEY record of the root among the trust anchors")
	}
	return anchors, nil
}
