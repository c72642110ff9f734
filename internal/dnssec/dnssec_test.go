package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
	"postern/internal/testzone"
)

// tree returns a root and zones of all kinds below it.
func tree(change func(zones map[string]*testzone.Zone)) []testzone.Zone {
	zones := map[string]*testzone.Zone{
		".":            {Signed: true},
		"test.":        {Signed: true},
		"signed.test.": {Signed: true, Records: records("signed.test.")},
		"plain.test.":  {Records: records("plain.test.")},

		"below.plain.test.": {Signed: true, Records: records("below.plain.test.")},
		"island.test.":      {Signed: true, NoDS: true, Records: records("island.test.")},

		"hashed.":        {Signed: true, NSEC3: true, OptOut: true, Records: records("hashed.")},
		"signed.hashed.": {Signed: true, NSEC3: true, Records: records("signed.hashed.")},
		"plain.hashed.":  {Records: records("plain.hashed.")},

		"one.test.":          {Signed: true}, // a zone of one name
		"onehashed.test.":    {Signed: true, NSEC3: true},
		"iterated.test.":     {Signed: true, NSEC3: true, Iterations: 150, Records: records("iterated.test.")},
		"overiterated.test.": {Signed: true, NSEC3: true, Iterations: 151, Records: records("overiterated.test.")},
	}
	if change != nil {
		change(zones)
	}
	all := make([]testzone.Zone, 0, len(zones))
	for name, z := range zones {
		z.Name = name
		all = append(all, *z)
	}
	return all
}

func records(zone string) []string {
	return []string{
		zone + " MX 10 mx." + zone, "mx." + zone + " A 127.0.0.1", "_25._tcp.mx." + zone + " TXT here",
		"alias." + zone + " CNAME mx." + zone, "_25._tcp.alias." + zone + " TXT here", "away." + zone + " CNAME mx.plain.test.", "*.wild." + zone + " A 127.0.0.2",
	}
}

// tcpQuery returns a Query for a Validator.
func tcpQuery(addr string) dnssec.Query {
	return func(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
		question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
		question.SetEdns0(4096, true)
		question.CheckingDisabled = true
		answer, _, err := (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, question, addr)
		return answer, err
	}
}

func validate(t *testing.T, s *testzone.Server, name string, kind uint16) (dnssec.Status, error) {
	t.Helper()
	ask := tcpQuery(s.Addr)
	answer, err := ask(t.Context(), name, kind)
	if err != nil {
		t.Fatal(err)
	}
	return newValidator(t, s, ask).Validate(t.Context(), name, kind, answer)
}

// newValidator returns a Validator that trusts a server's root, without what another has
// looked up.
func newValidator(t *testing.T, s *testzone.Server, ask dnssec.Query) *dnssec.Validator {
	t.Helper()
	anchors, err := dnssec.ReadAnchors(strings.NewReader(strings.Join(s.Anchors, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return dnssec.New(ask, anchors)
}

func parseRecord(t *testing.T, text string) dns.RR {
	t.Helper()
	record, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestAnswersAreValidated(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	for _, tt := range []struct {
		name string
		kind uint16
		want dnssec.Status
	}{
		{"signed.test.", dns.TypeMX, dnssec.Secure},
		{"MX.Signed.test.", dns.TypeA, dnssec.Secure},
		{"alias.signed.test.", dns.TypeA, dnssec.Secure},
		{"_25._tcp.alias.signed.test.", dns.TypeTXT, dnssec.Secure}, // below an alias
		{"away.signed.test.", dns.TypeA, dnssec.Insecure},           // leads to a zone that is not signed
		{"x.wild.signed.test.", dns.TypeA, dnssec.Secure},
		{"x.y.z.wild.signed.test.", dns.TypeA, dnssec.Secure}, // a wildcard for several labels
		{"*.wild.signed.test.", dns.TypeA, dnssec.Secure},     // the wildcard itself
		{"plain.test.", dns.TypeMX, dnssec.Insecure},
		{"island.test.", dns.TypeMX, dnssec.Insecure},      // signed, without a DS record
		{"below.plain.test.", dns.TypeMX, dnssec.Insecure}, // signed, with one in a zone that is not
		{"signed.hashed.", dns.TypeMX, dnssec.Secure},
		{"x.wild.signed.hashed.", dns.TypeA, dnssec.Secure},
		{"x.y.z.wild.signed.hashed.", dns.TypeA, dnssec.Secure},
		{"plain.hashed.", dns.TypeMX, dnssec.Insecure},    // opt-out
		{"x.wild.hashed.", dns.TypeA, dnssec.Insecure},    // so, the name may be there, unsigned
		{"x.wild.hashed.", dns.TypeTLSA, dnssec.Insecure}, // so
		{"wild.hashed.", dns.TypeA, dnssec.Secure},
		{"test.", dns.TypeSOA, dnssec.Secure},
		{".", dns.TypeNS, dnssec.Secure},

		// Denial of existence.
		{"mx.signed.test.", dns.TypeTLSA, dnssec.Secure},
		{"_tcp.mx.signed.test.", dns.TypeTLSA, dnssec.Secure}, // there, without records
		{"wild.signed.test.", dns.TypeA, dnssec.Secure},       // so, and only a wildcard is below it
		{"gone.signed.test.", dns.TypeA, dnssec.Secure},
		{"_25._tcp.gone.signed.test.", dns.TypeTLSA, dnssec.Secure},
		{"gone.plain.test.", dns.TypeA, dnssec.Insecure},
		{"gone.", dns.TypeA, dnssec.Secure},
		{"mx.signed.hashed.", dns.TypeTLSA, dnssec.Secure},
		{"_tcp.mx.signed.hashed.", dns.TypeTLSA, dnssec.Secure},
		{"gone.signed.hashed.", dns.TypeA, dnssec.Secure},
		{"gone.hashed.", dns.TypeA, dnssec.Insecure}, // opt-out: it may be there, unsigned
		{"gone.plain.hashed.", dns.TypeA, dnssec.Insecure},
		{"x.y.wild.signed.test.", dns.TypeTLSA, dnssec.Secure}, // the wildcard has no such record
		{"x.y.wild.signed.hashed.", dns.TypeTLSA, dnssec.Secure},
		{"one.test.", dns.TypeA, dnssec.Secure},
		{"gone.one.test.", dns.TypeA, dnssec.Secure},
		{"_25._tcp.gone.one.test.", dns.TypeTLSA, dnssec.Secure},
		{"gone.onehashed.test.", dns.TypeA, dnssec.Secure},
		{"mx.iterated.test.", dns.TypeTLSA, dnssec.Secure},
		{"gone.iterated.test.", dns.TypeA, dnssec.Secure},
		{"gone.overiterated.test.", dns.TypeA, dnssec.Insecure}, // RFC 9276, Section 3.2
		{"mx.overiterated.test.", dns.TypeTLSA, dnssec.Insecure},
		{"mx.overiterated.test.", dns.TypeA, dnssec.Secure},
	} {
		status, err := validate(t, s, tt.name, tt.kind)
		if status != tt.want || err != nil {
			t.Errorf("%s %s: %v, %v, want %v", tt.name, dns.TypeToString[tt.kind], status, err, tt.want)
		}
	}
}

// strip removes all records of a type from the answer to a query.
func strip(kind uint16, name string, asked uint16) func(*dns.Msg) {
	return func(m *dns.Msg) {
		if dns.CanonicalName(m.Question[0].Name) != name || m.Question[0].Qtype != asked {
			return
		}
		for _, section := range []*[]dns.RR{&m.Answer, &m.Ns} {
			*section = slices.DeleteFunc(*section, func(r dns.RR) bool { return r.Header().Rrtype == kind })
		}
	}
}

func TestInvalidAnswersAreBogus(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(map[string]*testzone.Zone)
		asked  string
		kind   uint16
		why    string
	}{
		"expired":            {func(z map[string]*testzone.Zone) { z["signed.test."].Expired = true }, "signed.test.", dns.TypeMX, "is valid from"},
		"expired above":      {func(z map[string]*testzone.Zone) { z["test."].Expired = true }, "signed.test.", dns.TypeMX, "DNSKEY record of test. has a signature that is valid from"},
		"not signed":         {spoil("signed.test.", strip(dns.TypeRRSIG, "mx.signed.test.", dns.TypeA)), "mx.signed.test.", dns.TypeA, "is not signed, but its zone is"},
		"DS removed":         {spoil("test.", strip(dns.TypeDS, "signed.test.", dns.TypeDS)), "signed.test.", dns.TypeMX, "proof that signed.test. has no DS record: the answer for test. is not signed"},
		"DS without proof":   {spoil("test.", strip(dns.TypeNSEC, "plain.test.", dns.TypeDS)), "plain.test.", dns.TypeMX, "is not signed, but its zone is"},
		"denied, no proof":   {spoil("signed.test.", strip(dns.TypeNSEC, "gone.signed.test.", dns.TypeA)), "gone.signed.test.", dns.TypeA, "is not signed, but its zone is"},
		"proof not signed":   {spoil("signed.test.", strip(dns.TypeRRSIG, "gone.signed.test.", dns.TypeA)), "gone.signed.test.", dns.TypeA, "the NSEC record of signed.test. is not signed"},
		"wildcard, no proof": {spoil("signed.test.", strip(dns.TypeNSEC, "x.wild.signed.test.", dns.TypeA)), "x.wild.signed.test.", dns.TypeA, "is not signed, but its zone is"},
		"forged":             {spoil("signed.test.", forge), "mx.signed.test.", dns.TypeA, "that no key of"},
		"other DS": {func(z map[string]*testzone.Zone) {
			z["test."].Records = []string{"signed.test. DS 1 13 2 00"}
			z["signed.test."].NoDS = true
		}, "signed.test.", dns.TypeMX, "no key of signed.test."},
		"revoked key": {func(z map[string]*testzone.Zone) { z["signed.test."].Flags = dns.ZONE | dns.SEP | dns.REVOKE }, "signed.test.", dns.TypeMX,
			"a signature that no key of signed.test. verifies"},
		"no zone key": {func(z map[string]*testzone.Zone) { z["signed.test."].Flags = dns.SEP }, "signed.test.", dns.TypeMX,
			"no key of signed.test. matches its DS records"},
		"one of two DS is supported": {func(z map[string]*testzone.Zone) {
			z["test."].Records = []string{"signed.test. DS 1 253 2 00", "signed.test. DS 1 13 2 00"}
			z["signed.test."].NoDS = true
		}, "signed.test.", dns.TypeMX, "no key of signed.test."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, err := validate(t, testzone.Start(t, tree(tt.change)...), tt.asked, tt.kind)
			if status != dnssec.Bogus || err == nil || !strings.Contains(err.Error(), tt.why) {
				t.Errorf("%v, %v, want bogus, %q", status, err, tt.why)
			}
		})
	}
}

func spoil(zone string, how func(*dns.Msg)) func(map[string]*testzone.Zone) {
	return func(zones map[string]*testzone.Zone) { zones[zone].Modify = how }
}

func forge(m *dns.Msg) {
	for _, record := range m.Answer {
		if a, ok := record.(*dns.A); ok {
			a.A[3]++
		}
	}
}

// A server of a zone may not know that DS records are in the zone above, and answer from its own.
// Whether its zone is signed is then known of nothing but itself.
func TestZoneDoesNotSpeakOfItsOwnDelegation(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	apex := parseRecord(t, "signed.test. NSEC alias.signed.test. NS SOA MX RRSIG NSEC DNSKEY")
	ask := func(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
		if name == "signed.test." && kind == dns.TypeDS {
			return &dns.Msg{Ns: []dns.RR{apex, s.Sign("signed.test.", apex)}}, nil
		}
		return tcpQuery(s.Addr)(ctx, name, kind)
	}
	answer, err := ask(t.Context(), "signed.test.", dns.TypeMX)
	if err != nil {
		t.Fatal(err)
	}
	status, err := newValidator(t, s, ask).Validate(t.Context(), "signed.test.", dns.TypeMX, answer)
	if status != dnssec.Bogus || err == nil || err.Error() != "dnssec: proof that signed.test. has no DS record: signed.test. is signed by itself only" {
		t.Errorf("%v, %v", status, err)
	}
}

// FuzzValidate validates arbitrary answers, with the same answer to all queries.
func FuzzValidate(f *testing.F) {
	s := testzone.Start(f, tree(nil)...)
	for _, q := range []struct {
		name string
		kind uint16
	}{{"signed.test.", dns.TypeMX}, {"gone.signed.hashed.", dns.TypeA}, {"x.wild.signed.test.", dns.TypeA}, {"signed.test.", dns.TypeDS}} {
		answer, err := tcpQuery(s.Addr)(f.Context(), q.name, q.kind)
		if err != nil {
			f.Fatal(err)
		}
		packed, err := answer.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(q.name, q.kind, packed)
	}
	anchors := dnssec.RootAnchors()
	f.Fuzz(func(t *testing.T, name string, kind uint16, packed []byte) {
		answer := new(dns.Msg)
		if _, ok := dns.IsDomainName(name); !ok || answer.Unpack(packed) != nil {
			return
		}
		ask := func(context.Context, string, uint16) (*dns.Msg, error) { return answer, nil }
		if status, err := dnssec.New(ask, anchors).Validate(t.Context(), name, kind, answer); (err != nil) != (status <= dnssec.Bogus) || status == dnssec.Secure {
			t.Errorf("%v, %v", status, err)
		}
	})
}

// A zone that is secure itself can sign anything, and is believed only about its own names.
func TestSignatureOfAnotherZoneIsBogus(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	for zone, want := range map[string]dnssec.Status{
		"signed.test.": dnssec.Secure, "one.test.": dnssec.Bogus, "signed.hashed.": dnssec.Bogus,
	} {
		record := parseRecord(t, "new.signed.test. A 192.0.2.1")
		answer := &dns.Msg{Answer: []dns.RR{record, s.Sign(zone, record)}}
		status, err := newValidator(t, s, tcpQuery(s.Addr)).Validate(t.Context(), "new.signed.test.", dns.TypeA, answer)
		if status != want || want == dnssec.Bogus && !strings.Contains(err.Error(), "is signed by "+zone+", which is not its zone") {
			t.Errorf("signed by %s: %v, %v; want %v", zone, status, err, want)
		}
	}
}

// RFC 4035, Section 5.3.1: a zone may have signed the names of a zone below it before it delegated
// them, and those signatures may still be valid.
func TestSignatureOfTheZoneAboveIsBogus(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	for _, tt := range []struct{ record, zone, begins string }{
		{"mx.signed.test. A 192.0.2.1", "test.", "signed.test."},
		{"signed.test. MX 10 mx.evil.test.", "test.", "signed.test."},
		{"mx.signed.test. A 192.0.2.1", ".", "test."},
		{"alias.signed.test. CNAME mx.evil.test.", "test.", "signed.test."},
		{"_25._tcp.alias.signed.test. TLSA 3 1 1 00", "test.", "signed.test."},
		{"mx.plain.test. A 192.0.2.1", "test.", "plain.test."},
		{"_25._tcp.mx.plain.hashed. TLSA 3 1 1 00", "hashed.", "plain.hashed."},
		{"new.test. A 192.0.2.1", ".", "test."},
	} {
		record := parseRecord(t, tt.record)
		name, kind := record.Header().Name, record.Header().Rrtype
		answer := &dns.Msg{Answer: []dns.RR{record, s.Sign(tt.zone, record)}}
		status, err := newValidator(t, s, tcpQuery(s.Addr)).Validate(t.Context(), name, kind, answer)
		want := fmt.Sprintf("is signed by %s, but a zone begins at %s", tt.zone, tt.begins)
		if status != dnssec.Bogus || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, signed by %s: %v, %v; want bogus, %s", tt.record, tt.zone, status, err, want)
		}
	}
}

// The same of DS records: the zone above the parent does not delegate.
func TestDelegationByTheZoneAboveTheParentIsBogus(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	ask := func(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
		answer, err := tcpQuery(s.Addr)(ctx, name, kind)
		if name == "signed.test." && kind == dns.TypeDS && err == nil {
			answer.Answer = []dns.RR{answer.Answer[0], s.Sign(".", answer.Answer[0])}
		}
		return answer, err
	}
	answer, err := ask(t.Context(), "signed.test.", dns.TypeMX)
	if err != nil {
		t.Fatal(err)
	}
	status, err := newValidator(t, s, ask).Validate(t.Context(), "signed.test.", dns.TypeMX, answer)
	if status != dnssec.Bogus || err == nil || !strings.Contains(err.Error(), "the DS record of signed.test. is signed by ., but a zone begins at test.") {
		t.Errorf("%v, %v", status, err)
	}
}

// A server that does not answer is not one that says that there is nothing.
func TestQueryThatFailsIsIndeterminate(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	answer, err := tcpQuery(s.Addr)(t.Context(), "mx.signed.test.", dns.TypeA)
	if err != nil {
		t.Fatal(err)
	}
	silent := errors.New("no answer")
	for kind, names := range map[uint16][]string{
		dns.TypeDNSKEY: {".", "test.", "signed.test."}, dns.TypeDS: {"test.", "signed.test.", "mx.signed.test."},
	} {
		for _, failing := range names {
			ask := func(ctx context.Context, name string, asked uint16) (*dns.Msg, error) {
				if name == failing && asked == kind {
					return nil, silent
				}
				return tcpQuery(s.Addr)(ctx, name, asked)
			}
			status, err := newValidator(t, s, ask).Validate(t.Context(), "mx.signed.test.", dns.TypeA, answer)
			if want := fmt.Sprintf("dnssec: %s records of %s: no answer", dns.TypeToString[kind], failing); status != dnssec.Indeterminate || err == nil || err.Error() != want || !errors.Is(err, silent) {
				t.Errorf("%v, %v; want %s", status, err, want)
			}
		}
	}
}

func TestStatusesHaveTheWordsOfTheRFC(t *testing.T) {
	for status, want := range map[dnssec.Status]string{
		dnssec.Indeterminate: "indeterminate", dnssec.Bogus: "bogus", dnssec.Insecure: "insecure", dnssec.Secure: "secure",
	} {
		if status.String() != want {
			t.Errorf("%d: %s, want %s", status, status, want)
		}
	}
}

// A resolver without DNSSEC returns no root keys. That says nothing of the zone.
func TestResolverWithoutDNSSECIsIndeterminate(t *testing.T) {
	s := testzone.Start(t, tree(spoil(".", strip(dns.TypeDNSKEY, ".", dns.TypeDNSKEY)))...)
	status, err := validate(t, s, "signed.test.", dns.TypeMX)
	if status != dnssec.Indeterminate || err == nil || !strings.Contains(err.Error(), "the resolver returns no root keys: it does not support DNSSEC") {
		t.Errorf("%v, %v", status, err)
	}
}
