package dnssec_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
	"postern/internal/testzone"
)

// A proof about one name or zone proves nothing about another.
func TestProofOfAnotherNameIsBogus(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	ask := tcpQuery(s.Addr)
	const otherZone = "the NSEC record of signed.test. is from another zone than "
	for _, tt := range []struct{ proof, of, why string }{
		{"gone.signed.test.", "mx.signed.test.", "no proof"},         // the gap is another
		{"gone.signed.hashed.", "mx.signed.hashed.", "no proof"},     // hashed
		{"zzz.signed.hashed.", "_tcp.mx.signed.hashed.", "no proof"}, // hashed
		{"zzz.test.", "mx.signed.test.", "no proof"},                 // of the zone above
		{"zzz.test.", "signed.test.", "no proof"},                    // where the zone below begins
		{"zzz.signed.test.", "mx.test.", otherZone + "mx.test."},     // of the zone below, back to its apex
		{"zzz.signed.test.", "mx.signed.hashed.", otherZone + "mx.signed.hashed."},
	} {
		answer, err := ask(t.Context(), tt.proof, dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		if status, err := newValidator(t, s, ask).Validate(t.Context(), tt.of, dns.TypeA, answer); status != dnssec.Bogus || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("the proof that %s does not exist, for %s: %v, %v; want bogus, %s", tt.proof, tt.of, status, err, tt.why)
		}
	}
}

// An attacker who replays such a signature may answer for the zone's DS record with a proof about
// another name.
func TestProofOfAnotherNameHidesNoZone(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	ask := func(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
		if name == "signed.test." && kind == dns.TypeDS {
			name = "aaa.test."
		}
		return tcpQuery(s.Addr)(ctx, name, kind)
	}
	record := parseRecord(t, "mx.signed.test. A 192.0.2.1")
	answer := &dns.Msg{Answer: []dns.RR{record, s.Sign("test.", record)}}
	status, err := newValidator(t, s, ask).Validate(t.Context(), "mx.signed.test.", dns.TypeA, answer)
	if status != dnssec.Bogus || err == nil || err.Error() != "dnssec: no proof that there is no such record: DS of signed.test." {
		t.Errorf("%v, %v", status, err)
	}
}

// A proof that shows an alias, of the name or of a wildcard for it, does not prove that there is
// nothing: the answer lacks the alias (RFC 4035, Section 5.4; RFC 4592, Section 2.2.1).
func TestProofWithAnAliasProvesNoAbsence(t *testing.T) {
	s := testzone.Start(t, tree(func(z map[string]*testzone.Zone) {
		for _, zone := range []string{"signed.test.", "signed.hashed."} {
			z[zone].Records = append(z[zone].Records, "*.any."+zone+" CNAME mx."+zone)
		}
	})...)
	ask := tcpQuery(s.Addr)
	for _, zone := range []string{"signed.test.", "signed.hashed."} {
		answer, err := ask(t.Context(), "x.any."+zone, dns.TypeTXT)
		if err != nil {
			t.Fatal(err)
		}
		answer.Answer = nil
		if status, err := newValidator(t, s, ask).Validate(t.Context(), "x.any."+zone, dns.TypeTXT, answer); status != dnssec.Bogus {
			t.Errorf("below a wildcard alias in %s: %v, %v", zone, status, err)
		}
	}
	nsec := parseRecord(t, "alias.signed.test. NSEC away.signed.test. CNAME RRSIG NSEC")
	answer := &dns.Msg{Ns: []dns.RR{nsec, s.Sign("signed.test.", nsec)}}
	for kind, want := range map[uint16]dnssec.Status{dns.TypeTXT: dnssec.Bogus, dns.TypeCNAME: dnssec.Bogus} {
		if status, err := newValidator(t, s, ask).Validate(t.Context(), "alias.signed.test.", kind, answer); status != want {
			t.Errorf("%s of an alias: %v, %v; want %v", dns.TypeToString[kind], status, err, want)
		}
	}
}

// The NSEC record of a wildcard is signed for all names below the wildcard's parent, as its other
// records are, and would deny what is at each of them (CVE-2017-15105).
func TestDenialOfAWildcardDeniesNothingElse(t *testing.T) {
	s := testzone.Start(t, tree(func(z map[string]*testzone.Zone) {
		z["signed.test."].Records = append(z["signed.test."].Records, "_25._tcp.zz.wild.signed.test. TLSA 3 1 1 00")
	})...)
	ask := tcpQuery(s.Addr)
	answer, err := ask(t.Context(), "x.wild.signed.test.", dns.TypeTLSA)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"x.wild.signed.test.":           "secure: <nil>",
		"_25._tcp.zz.wild.signed.test.": "bogus: dnssec: the NSEC record of _25._tcp.zz.wild.signed.test. is from a wildcard",
	} {
		forged := answer.Copy()
		for _, record := range forged.Ns {
			if record.Header().Name == "*.wild.signed.test." && want[0] == 'b' {
				record.Header().Name = name
			}
		}
		status, err := newValidator(t, s, ask).Validate(t.Context(), name, dns.TypeTLSA, forged)
		if got := fmt.Sprintf("%v: %v", status, err); got != want {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
}

// RFC 5155, Sections 6, 8.1 and 8.2: what the numbers of an NSEC3 record mean.
func TestNSEC3RecordsOfUnknownKindProveNothing(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	ask := tcpQuery(s.Addr)
	apex := dns.HashName("signed.hashed.", dns.SHA1, 0, "")
	const last, first = "VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV", "00000000000000000000000000000000"
	for _, tt := range []struct {
		owner, numbers, next string
		want                 dnssec.Status
	}{
		{apex, "1 0 0 -", apex, dnssec.Secure},
		{apex, "1 1 0 -", apex, dnssec.Insecure}, // opt-out
		{apex, "1 2 0 -", apex, dnssec.Bogus},    // another flag
		{apex, "1 3 0 -", apex, dnssec.Bogus},
		{last, "2 0 0 -", first, dnssec.Bogus}, // another hash algorithm
	} {
		answer, err := ask(t.Context(), "x.wild.signed.hashed.", dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		nsec3 := parseRecord(t, fmt.Sprintf("%s.signed.hashed. NSEC3 %s %s NS SOA RRSIG", tt.owner, tt.numbers, tt.next))
		answer.Ns = []dns.RR{nsec3, s.Sign("signed.hashed.", nsec3)}
		if status, err := newValidator(t, s, ask).Validate(t.Context(), "x.wild.signed.hashed.", dns.TypeA, answer); status != tt.want {
			t.Errorf("%s: %v, %v; want %v", tt.numbers, status, err, tt.want)
		}
	}
}

// Of a wildcard's answer the proof must be about the name one label longer than the wildcard's
// parent (RFC 5155, Section 8.8), and need not have more.
func TestWildcardNeedsAProofForTheNextCloserName(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	const name, next = "x.y.z.wild.signed.hashed.", "z.wild.signed.hashed."
	ask := tcpQuery(s.Addr)
	for keep, want := range map[bool]dnssec.Status{true: dnssec.Secure, false: dnssec.Bogus} {
		answer, err := ask(t.Context(), name, dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		owners := make(map[string]bool) // of the records that prove it
		for _, record := range answer.Ns {
			if n, ok := record.(*dns.NSEC3); ok && n.Cover(next) {
				owners[record.Header().Name] = true
			}
		}
		answer.Ns = slices.DeleteFunc(answer.Ns, func(r dns.RR) bool { return owners[r.Header().Name] != keep })
		if status, err := newValidator(t, s, ask).Validate(t.Context(), name, dns.TypeA, answer); status != want || len(owners) != 1 {
			t.Errorf("only the proof: %v: %v, %v; want %v", keep, status, err, want)
		}
	}
}

// What the proof at a delegation says about its DS record decides whether the zone below may be
// unsigned (RFC 4035, Section 5.2): an attacker who removes the DS record has none.
func TestDelegationIsUnsignedOnlyIfItsProofSaysSo(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	for types, want := range map[string]dnssec.Status{
		"NS RRSIG NSEC":     dnssec.Insecure,
		"NS DS RRSIG NSEC":  dnssec.Bogus, // there is one
		"NS SOA RRSIG NSEC": dnssec.Bogus, // of the zone below, which knows nothing of DS records
		"A RRSIG NSEC":      dnssec.Bogus, // no zone begins there, so the answer has to be signed
	} {
		nsec := parseRecord(t, "signed.test. NSEC t.test. "+types)
		ask := func(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
			if name == "signed.test." && kind == dns.TypeDS {
				return &dns.Msg{Ns: []dns.RR{nsec, s.Sign("test.", nsec)}}, nil
			}
			return tcpQuery(s.Addr)(ctx, name, kind)
		}
		forged := parseRecord(t, "mx.signed.test. A 192.0.2.1")
		answer := &dns.Msg{Answer: []dns.RR{forged}}
		if status, err := newValidator(t, s, ask).Validate(t.Context(), "mx.signed.test.", dns.TypeA, answer); status != want {
			t.Errorf("%s: %v, %v; want %v", types, status, err, want)
		}
	}
}

// A name does not exist only if the proof shows three things: no such name, no wildcard in its
// place, and, hashed, which name above it exists (RFC 4035, Section 5.4; RFC 5155, Section 8.4).
func TestEachPartOfAProofOfAbsenceIsNeeded(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	ask := tcpQuery(s.Addr)
	for _, name := range []string{"gone.signed.test.", "gone.signed.hashed."} {
		whole, err := ask(t.Context(), name, dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		owners := make(map[string]bool)
		for _, record := range whole.Ns {
			if kind := record.Header().Rrtype; kind == dns.TypeNSEC || kind == dns.TypeNSEC3 {
				owners[record.Header().Name] = true
			}
		}
		if len(owners) < 2 {
			t.Fatalf("%s: a proof by %d records", name, len(owners))
		}
		for owner := range owners {
			answer := whole.Copy()
			answer.Ns = slices.DeleteFunc(answer.Ns, func(r dns.RR) bool { return r.Header().Name == owner })
			if status, err := newValidator(t, s, ask).Validate(t.Context(), name, dns.TypeA, answer); status != dnssec.Bogus {
				t.Errorf("%s, without the record at %s: %v, %v; want bogus", name, owner, status, err)
			}
		}
	}
}

// The zone above a delegation knows nothing of the names below it, and what is below a DNAME record
// is elsewhere: neither can be denied by a record that shows that.
func TestNamesOfAnotherZoneAreNotDenied(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	for types, want := range map[string]dnssec.Status{
		"A RRSIG": dnssec.Secure, "NS DS RRSIG": dnssec.Bogus, "DNAME RRSIG": dnssec.Bogus, "NS SOA RRSIG": dnssec.Secure,
	} {
		hash := dns.HashName("below.onehashed.test.", dns.SHA1, 0, "")
		nsec3 := parseRecord(t, fmt.Sprintf("%s.onehashed.test. NSEC3 1 0 0 - %s %s", hash, hash, types)) // the gap is all else
		answer := &dns.Msg{Ns: []dns.RR{nsec3, s.Sign("onehashed.test.", nsec3)}}
		status, err := newValidator(t, s, tcpQuery(s.Addr)).Validate(t.Context(), "mx.below.onehashed.test.", dns.TypeTLSA, answer)
		if status != want {
			t.Errorf("%s: %v, %v; want %v", types, status, err, want)
		}
	}
}

// A name that exists has its own records, not the wildcard's, and below it the wildcard has no effect
// (RFC 4592, Section 3.3.1): the record that shows that it exists does not show that it does not.
func TestWildcardDoesNotReplaceANameThatExists(t *testing.T) {
	s := testzone.Start(t, tree(func(z map[string]*testzone.Zone) {
		for _, zone := range []string{"signed.test.", "signed.hashed."} {
			for _, name := range []string{"a", "b", "c", "d"} {
				z[zone].Records = append(z[zone].Records, name+".wild."+zone+" A 127.0.0.3")
			}
		}
	})...)
	ask := tcpQuery(s.Addr)
	for _, zone := range []string{"signed.test.", "signed.hashed."} {
		for _, name := range []string{"a.wild." + zone, "b.wild." + zone, "c.wild." + zone, "d.wild." + zone, "x.a.wild." + zone, "y.x.d.wild." + zone} {
			answer, err := ask(t.Context(), "x.wild."+zone, dns.TypeA)
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range answer.Answer {
				record.Header().Name = name
			}
			exists, err := ask(t.Context(), name, dns.TypeTLSA)
			if err != nil {
				t.Fatal(err)
			}
			answer.Ns = exists.Ns
			if status, err := newValidator(t, s, ask).Validate(t.Context(), name, dns.TypeA, answer); status != dnssec.Bogus {
				t.Errorf("%s: %v, %v; want bogus", name, status, err)
			}
		}
	}
}
