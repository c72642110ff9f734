package dnssec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/safetext"

	"github.com/miekg/dns"
)

// An rrset is the records of one name and type, with their signatures.
type rrset struct {
	name       string // canonical
	rrtype     uint16
	records    []dns.RR
	signatures []*dns.RRSIG
}

// find returns the RRset of a name and type.
func find(all []dns.RR, name string, rrtype uint16) rrset {
	s := rrset{name: name, rrtype: rrtype}
	for _, record := range all {
		if dns.CanonicalName(record.Header().Name) != name {
			continue
		}
		if sig, ok := record.(*dns.RRSIG); ok && sig.TypeCovered == rrtype {
			s.signatures = append(s.signatures, sig)
		} else if record.Header().Rrtype == rrtype {
			s.records = append(s.records, record)
		}
	}
	return s
}

// signed validates an RRset, and returns the signature that validates.
func (v *Validator) signed(ctx context.Context, s rrset) (*dns.RRSIG, Status, error) {
	why := s.bogus("is not signed")
	for _, sig := range s.signatures {
		signer := dns.CanonicalName(sig.SignerName)
		if !within(s.name, signer) || s.rrtype == dns.TypeDS && signer == s.name {
			why = s.bogus("is signed by %s, which is not its zone", safetext.Printable(signer))
			continue
		}
		z := v.zone(ctx, signer)
		if z.status != Secure {
			return nil, z.status, z.err
		}
		if why = v.verify(s, sig, z.keys); why == nil {
			return sig, Secure, nil
		}
		if errors.Is(why, errLimit) {
			return nil, Indeterminate, why
		}
	}
	return nil, Bogus, why
}

// validateSigner validates that the signer of an RRset is the zone that contains it (RFC 4035,
// Section 5.3.1): that no other zone begins at a name or between the two. A zone may have signed
// names before it delegated them, and such signatures can be replayed. The name is the RRset's;
// that of the wildcard's parent in an answer from a wildcard, and the parent of DS records and
// aliases, since no zone begins at an alias.
func (v *Validator) validateSigner(ctx context.Context, s rrset, sig *dns.RRSIG, name string) (Status, error) {
	signer := dns.CanonicalName(sig.SignerName)
	for _, i := range slices.Backward(dns.Split(name)) {
		if !below(name[i:], signer) {
			continue
		}
		c := v.cut(ctx, name[i:])
		if c.err != nil {
			return c.status, c.err
		}
		if c.begins {
			return Bogus, s.bogus("is signed by %s, but a zone begins at %s", safetext.Printable(signer), safetext.Printable(name[i:]))
		}
	}
	return Secure, nil
}

// verify verifies one signature with the keys of its zone.
func (v *Validator) verify(s rrset, sig *dns.RRSIG, keys keys) error {
	if !sig.ValidityPeriod(time.Now()) {
		return s.bogus("has a signature that is valid from %s to %s only", dns.TimeToString(sig.Inception), dns.TimeToString(sig.Expiration))
	}
	for _, key := range keys[sig.KeyTag] {
		if key.Algorithm != sig.Algorithm || key.Flags&dns.REVOKE != 0 {
			continue
		}
		if v.signatures++; v.signatures > maxSignatures {
			return errLimit
		}
		if sig.Verify(key, s.records) == nil {
			return nil
		}
	}
	return s.bogus("has a signature that no key of %s verifies", safetext.Printable(sig.SignerName))
}

func (s rrset) bogus(format string, args ...any) error {
	return fmt.Errorf("the %s record of %s "+format, append([]any{dns.TypeToString[s.rrtype], safetext.Printable(s.name)}, args...)...)
}

// labels returns the number of labels of a name, without the asterisk of a wildcard (RFC 4034,
// Section 3.1.3).
func labels(name string) int { return dns.CountLabel(strings.TrimPrefix(name, "*.")) }

// within reports whether a name is in a zone, or its apex.
func within(name, zone string) bool { return dns.IsSubDomain(zone, name) }

// below reports whether a name is in a zone and not its apex.
func below(name, zone string) bool { return name != zone && within(name, zone) }

// parent returns a name without its first label. The root is its own parent.
func parent(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}
