package dnssec

import (
	"context"
	"errors"
	"fmt"
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

// verify verifies one signature with the keys of its zone.
func (v *Validator) verify(s rrset, sig *dns.RRSIG, keys []*dns.DNSKEY) error {
	if !sig.ValidityPeriod(time.Now()) {
		return s.bogus("has a signature that is valid from %s to %s only", dns.TimeToString(sig.Inception), dns.TimeToString(sig.Expiration))
	}
	if int(sig.Labels) > labels(s.name) {
		return s.bogus("has a signature for another name")
	}
	for _, key := range keys {
		if key.KeyTag() != sig.KeyTag || key.Algorithm != sig.Algorithm || key.Flags&dns.REVOKE != 0 {
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
