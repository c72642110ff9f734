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

// A set is the records of one name and kind, with their signatures.
type set struct {
	name       string // canonical
	kind       uint16
	records    []dns.RR
	signatures []*dns.RRSIG
}

// find returns the set of a name and kind among records.
func find(all []dns.RR, name string, kind uint16) set {
	s := set{name: name, kind: kind}
	for _, record := range all {
		if dns.CanonicalName(record.Header().Name) != name {
			continue
		}
		if sig, ok := record.(*dns.RRSIG); ok && sig.TypeCovered == kind {
			s.signatures = append(s.signatures, sig)
		} else if record.Header().Rrtype == kind {
			s.records = append(s.records, record)
		}
	}
	return s
}

// signed validates a set by the first of its signatures that leads to a zone's keys, and
// returns that.
func (v *Validator) signed(ctx context.Context, s set) (*dns.RRSIG, Status, error) {
	why := s.bogus("is not signed")
	for _, sig := range s.signatures {
		signer := dns.CanonicalName(sig.SignerName)
		if !within(s.name, signer) || s.kind == dns.TypeDS && signer == s.name {
			why = s.bogus("is signed by %s, which has no say in it", safetext.Printable(signer))
			continue
		}
		z := v.zone(ctx, signer)
		if z.status != Secure {
			return nil, z.status, z.err
		}
		if why = v.verify(s, sig, z.keys); why == nil {
			return sig, Secure, nil
		}
		if errors.Is(why, errTooMuch) {
			return nil, Indeterminate, why
		}
	}
	return nil, Bogus, why
}

// verify verifies one signature by the keys of its zone.
func (v *Validator) verify(s set, sig *dns.RRSIG, keys []*dns.DNSKEY) error {
	if !sig.ValidityPeriod(time.Now()) {
		return s.bogus("has a signature that was valid from %s to %s", dns.TimeToString(sig.Inception), dns.TimeToString(sig.Expiration))
	}
	if int(sig.Labels) > labels(s.name) {
		return s.bogus("has a signature of another name")
	}
	for _, key := range keys {
		if key.KeyTag() != sig.KeyTag || key.Algorithm != sig.Algorithm || key.Flags&dns.REVOKE != 0 {
			continue
		}
		if v.signatures++; v.signatures > maxSignatures {
			return errTooMuch
		}
		if sig.Verify(key, s.records) == nil {
			return nil
		}
	}
	return s.bogus("has a signature that none of the keys of %s verifies", safetext.Printable(sig.SignerName))
}

func (s set) bogus(format string, args ...any) error {
	return fmt.Errorf("the %s record of %s "+format, append([]any{dns.TypeToString[s.kind], safetext.Printable(s.name)}, args...)...)
}

// labels counts the labels of a name, without the asterisk of a wildcard (RFC 4034,
// Section 3.1.3).
func labels(name string) int { return dns.CountLabel(strings.TrimPrefix(name, "*.")) }

// within tells whether a name is a zone or lies in it.
func within(name, zone string) bool { return dns.IsSubDomain(zone, name) }

// below tells whether a name lies in a zone and is not its apex.
func below(name, zone string) bool { return name != zone && within(name, zone) }

// parent is a name without its first label. The root is its own.
func parent(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}
