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

func TestOtherAnchorsAreBogus(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	ask := tcpQuery(s.Addr)
	answer, err := ask(t.Context(), "signed.test.", dns.TypeMX)
	if err != nil {
		t.Fatal(err)
	}
	status, err := dnssec.New(ask, dnssec.RootAnchors()).Validate(t.Context(), "signed.test.", dns.TypeMX, answer)
	if status != dnssec.Bogus || !strings.Contains(err.Error(), "trust anchor") {
		t.Errorf("%v, %v", status, err)
	}
}

// A key has to match a DS record as a whole: its key tag and its algorithm are no secret (RFC 4035,
// Section 5.2).
func TestAnchorOfAnotherKeyIsBogus(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	right, ok := parseRecord(t, s.Anchors[0]).(*dns.DS)
	if !ok {
		t.Fatal(s.Anchors)
	}
	for name, change := range map[string]func(*dns.DS){
		"digest":    func(ds *dns.DS) { ds.Digest = ds.Digest[1:] + ds.Digest[:1] },
		"key tag":   func(ds *dns.DS) { ds.KeyTag++ },
		"algorithm": func(ds *dns.DS) { ds.Algorithm = dns.ECDSAP384SHA384 },

		"algorithm, not supported": func(ds *dns.DS) { ds.Algorithm = dns.PRIVATEDNS }, // of the root, which is not insecure for that
	} {
		other := *right
		change(&other)
		s.Anchors = []string{other.String()}
		if status, err := validate(t, s, "signed.test.", dns.TypeMX); status != dnssec.Bogus {
			t.Errorf("another %s: %v, %v", name, status, err)
		}
	}
}

// A server that makes each answer need another query gets a limited number.
func TestQueriesAreLimited(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	asked := 0
	ask := func(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
		asked++
		answer, err := tcpQuery(s.Addr)(ctx, name, kind)
		if kind == dns.TypeDS && err == nil && dns.CountLabel(name) > 2 {
			answer.Ns = []dns.RR{&dns.NSEC{Hdr: dns.RR_Header{Name: "x." + name, Rrtype: dns.TypeNSEC}}, &dns.RRSIG{
				Hdr: dns.RR_Header{Name: "x." + name, Rrtype: dns.TypeRRSIG}, TypeCovered: dns.TypeNSEC, SignerName: "x." + name,
			}}
		}
		return answer, err
	}
	answer := &dns.Msg{Answer: []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "a.b.signed.test.", Rrtype: dns.TypeA}}}}
	status, err := newValidator(t, s, ask).Validate(t.Context(), "a.b.signed.test.", dns.TypeA, answer)
	if status > dnssec.Bogus || err == nil || asked > 256 {
		t.Errorf("%v, %v after %d queries", status, err, asked)
	}
}

func TestOneValidatorMakes256Queries(t *testing.T) {
	silent := errors.New("no answer")
	asked := 0
	v := dnssec.New(func(context.Context, string, uint16) (*dns.Msg, error) {
		asked++
		return nil, silent
	}, dnssec.RootAnchors())
	for n := range 300 {
		unsigned := parseRecord(t, fmt.Sprintf("n%d. A 192.0.2.1", n)) // is in the zone n, if there is one
		status, err := v.Validate(t.Context(), unsigned.Header().Name, dns.TypeA, &dns.Msg{Answer: []dns.RR{unsigned}})
		if status != dnssec.Indeterminate || errors.Is(err, silent) != (n < 256) || (err.Error() == "dnssec: too many queries, signatures or keys") != (n >= 256) {
			t.Fatalf("query %d: %v, %v", n+1, status, err)
		}
	}
	if asked != 256 {
		t.Errorf("%d queries", asked)
	}
}

// Signatures that no key verifies cost as much as others (CVE-2023-50387). Those that none can
// verify, since no key has their tag, cost nothing.
func TestOneValidatorVerifies256Signatures(t *testing.T) {
	other := &dns.DNSKEY{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET}, Flags: dns.ZONE, Protocol: 3, Algorithm: dns.ECDSAP256SHA256}
	if _, err := other.Generate(256); err != nil {
		t.Fatal(err)
	}
	s := testzone.Start(t, tree(func(z map[string]*testzone.Zone) { z["."].Records = []string{other.String()} })...)
	record := parseRecord(t, ". TXT hello")
	right := s.Sign(".", record)
	wrong, ok := dns.Copy(right).(*dns.RRSIG)
	if !ok {
		t.Fatal(right)
	}
	wrong.Signature = strings.Repeat("AAAA", len(wrong.Signature)/4)
	unusable, _ := dns.Copy(wrong).(*dns.RRSIG)
	unusable.KeyTag++
	for n, want := range map[int]string{254: "secure: <nil>", 255: "indeterminate: dnssec: too many queries, signatures or keys"} {
		answer := &dns.Msg{Answer: []dns.RR{record, unusable}}
		for range n { // the root's keys have one signature more
			answer.Answer = append(answer.Answer, wrong)
		}
		answer.Answer = append(answer.Answer, right, right)
		status, err := newValidator(t, s, tcpQuery(s.Addr)).Validate(t.Context(), ".", dns.TypeTXT, answer)
		if got := fmt.Sprintf("%v: %v", status, err); got != want {
			t.Errorf("%d wrong ones: %s; want %s", n, got, want)
		}
	}
}

// A zone may have hundreds of keys and of DS records, all with one key tag: each pair would be a
// digest to compute (CVE-2023-50387).
func TestOneValidatorComputes256Digests(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	right, ok := parseRecord(t, s.Anchors[0]).(*dns.DS)
	if !ok {
		t.Fatal(s.Anchors)
	}
	for n, want := range map[int]string{255: "secure: <nil>", 256: "indeterminate: dnssec: too many queries, signatures or keys"} {
		var anchors []*dns.DS
		for i := range n {
			wrong := *right
			wrong.Digest = fmt.Sprintf("%064x", i)
			anchors = append(anchors, &wrong)
		}
		other := *right
		other.KeyTag++ // needs no digest
		ask := tcpQuery(s.Addr)
		answer, err := ask(t.Context(), ".", dns.TypeNS)
		if err != nil {
			t.Fatal(err)
		}
		status, err := dnssec.New(ask, append(anchors, &other, right)).Validate(t.Context(), ".", dns.TypeNS, answer)
		if got := fmt.Sprintf("%v: %v", status, err); got != want {
			t.Errorf("%d other DS records: %s; want %s", n, got, want)
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

func TestInvalidAnchorsAreRefused(t *testing.T) {
	for _, text := range []string{"", "; nothing", "example.org. DS 1 13 2 00", ". A 127.0.0.1", "not a zone file (", ". DS x", dnssec.RootAnchors()[0].String() + "\n. DS x"} {
		if anchors, err := dnssec.ReadAnchors(strings.NewReader(text)); err == nil {
			t.Errorf("%q: %v", text, anchors)
		}
	}
	root := dnssec.RootAnchors()[0].String()
	fields := strings.Fields(root)[3:]
	for _, text := range []string{root, ". IN " + strings.Join(fields, " ") /* as IANA has it */, ". " + strings.Join(fields, " "), "@ IN " + strings.Join(fields, " ")} {
		if anchors, err := dnssec.ReadAnchors(strings.NewReader(text)); err != nil || len(anchors) != 1 {
			t.Errorf("%q: %v, %v", text, anchors, err)
		}
	}
	if anchors, err := dnssec.ReadAnchors(strings.NewReader(strings.Repeat(";\n", 32<<10) + root)); err == nil {
		t.Errorf("after 64 KiB: %v", anchors)
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

// RFC 4035, Section 5.2: a zone with algorithms that the validator does not know is as if it
// were not signed.
func TestZoneOfUnknownAlgorithmsIsInsecure(t *testing.T) {
	for name, ds := range map[string]string{"algorithm": "DS 1 253 2 00", "digest": "DS 1 13 99 00"} {
		s := testzone.Start(t, tree(func(zones map[string]*testzone.Zone) {
			zones["test."].Records = []string{"signed.test. " + ds}
			zones["signed.test."].NoDS = true
		})...)
		for _, asked := range []string{"signed.test.", "gone.signed.test."} {
			if status, err := validate(t, s, asked, dns.TypeMX); status != dnssec.Insecure || err != nil {
				t.Errorf("%s, %s: %v, %v", name, asked, status, err)
			}
		}
	}
}

// A trust anchor can be a key, as BIND's and Unbound's files have it.
func TestKeyIsATrustAnchor(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	answer, err := tcpQuery(s.Addr)(t.Context(), ".", dns.TypeDNSKEY)
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range answer.Answer {
		if key, ok := record.(*dns.DNSKEY); ok {
			s.Anchors = []string{key.String()}
		}
	}
	if !strings.Contains(s.Anchors[0], "DNSKEY") {
		t.Fatal(answer)
	}
	if status, err := validate(t, s, "signed.test.", dns.TypeMX); status != dnssec.Secure || err != nil {
		t.Errorf("%v, %v", status, err)
	}
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

func TestAliasesAreFollowedSoFar(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	record := parseRecord(t, "a0.signed.test. A 127.0.0.1")
	answer := &dns.Msg{Answer: []dns.RR{record, s.Sign("signed.test.", record)}}
	for n := 1; n <= 9; n++ {
		alias := parseRecord(t, fmt.Sprintf("a%d.signed.test. CNAME a%d.signed.test.", n, n-1))
		answer.Answer = append(answer.Answer, alias, s.Sign("signed.test.", alias))
		want := dnssec.Secure
		if n == 9 {
			want = dnssec.Bogus
		}
		status, err := newValidator(t, s, tcpQuery(s.Addr)).Validate(t.Context(), alias.Header().Name, dns.TypeA, answer)
		if status != want || want == dnssec.Bogus && !strings.Contains(err.Error(), "more than 8 aliases") {
			t.Errorf("%d aliases: %v, %v; want %v", n, status, err, want)
		}
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

// RFC 6672, Section 5.3.1: the alias that follows from a signed DNAME record has no signature.
func TestAliasOfADNAMEIsSecure(t *testing.T) {
	s := testzone.Start(t, tree(func(z map[string]*testzone.Zone) {
		z["signed.test."].Records = append(z["signed.test."].Records, "old.signed.test. DNAME signed.hashed.")
	})...)
	ask := tcpQuery(s.Addr)
	for alias, want := range map[string]dnssec.Status{
		"mx.old.signed.test. CNAME mx.signed.hashed.":        dnssec.Secure,
		"mx.old.signed.test. CNAME mx.wild.signed.hashed.":   dnssec.Bogus, // does not follow from it
		"mx.other.signed.test. CNAME mx.signed.hashed.":      dnssec.Bogus, // is not below it
		"mx.xold.signed.test. CNAME mx.signed.hashed.":       dnssec.Bogus,
		"a.mx.old.signed.test. CNAME a.mx.signed.hashed.":    dnssec.Secure,
		"mx.old.signed.test. CNAME MX.Signed.Hashed.":        dnssec.Secure,
		"mx.old.signed.test. CNAME evil.mx.old.signed.test.": dnssec.Bogus,
	} {
		answer, err := ask(t.Context(), "old.signed.test.", dns.TypeDNAME)
		if err != nil {
			t.Fatal(err)
		}
		record := parseRecord(t, alias)
		target := record.(*dns.CNAME).Target
		rest, err := ask(t.Context(), target, dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		answer.Answer = append(append(answer.Answer, record), rest.Answer...)
		answer.Ns = append(answer.Ns, rest.Ns...)
		if status, err := newValidator(t, s, ask).Validate(t.Context(), record.Header().Name, dns.TypeA, answer); status != want {
			t.Errorf("%s: %v, %v; want %v", alias, status, err, want)
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

// What is not an alias has no signature from elsewhere.
func TestRecordBelowADNAMENeedsItsOwnSignature(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	dname := parseRecord(t, "old.signed.test. DNAME signed.hashed.")
	answer := &dns.Msg{Answer: []dns.RR{dname, s.Sign("signed.test.", dname), parseRecord(t, "mx.old.signed.test. A 192.0.2.1")}}
	status, err := newValidator(t, s, tcpQuery(s.Addr)).Validate(t.Context(), "mx.old.signed.test.", dns.TypeA, answer)
	if status != dnssec.Bogus || err == nil || err.Error() != "dnssec: the answer for mx.old.signed.test. is not signed, but its zone is" {
		t.Errorf("%v, %v", status, err)
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

// From https://data.iana.org/root-anchors/root-anchors.xml.
func TestRootAnchorsAreThoseOfIANA(t *testing.T) {
	var got []string
	for _, ds := range dnssec.RootAnchors() {
		got = append(got, strings.Join(strings.Fields(ds.String())[4:], " "))
	}
	want := []string{
		"20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
		"38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
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

// A proof needs three records. One of more than eight is not looked at, however valid. Those that are
// repeated count once.
func TestProofOfManyRecordsIsRefused(t *testing.T) {
	s := testzone.Start(t, tree(nil)...)
	ask := tcpQuery(s.Addr)
	for n, want := range map[int]dnssec.Status{8: dnssec.Secure, 9: dnssec.Bogus} {
		answer, err := ask(t.Context(), "gone.one.test.", dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n - 1 { // the answer has one, at the apex
			more := parseRecord(t, fmt.Sprintf("x%d.one.test. NSEC y.x%d.one.test. A", i, i))
			answer.Ns = append(answer.Ns, more, s.Sign("one.test.", more))
		}
		for range 300 { // each of which would be one signature more
			answer.Ns = append(answer.Ns, answer.Ns[len(answer.Ns)-2:]...)
		}
		if status, err := newValidator(t, s, ask).Validate(t.Context(), "gone.one.test.", dns.TypeA, answer); status != want {
			t.Errorf("%d records: %v, %v; want %v", n, status, err, want)
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

// A resolver without DNSSEC returns no root keys. That says nothing of the zone.
func TestResolverWithoutDNSSECIsIndeterminate(t *testing.T) {
	s := testzone.Start(t, tree(spoil(".", strip(dns.TypeDNSKEY, ".", dns.TypeDNSKEY)))...)
	status, err := validate(t, s, "signed.test.", dns.TypeMX)
	if status != dnssec.Indeterminate || err == nil || !strings.Contains(err.Error(), "the resolver returns no root keys: it does not support DNSSEC") {
		t.Errorf("%v, %v", status, err)
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
