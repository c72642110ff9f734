package dnssec_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
	"postern/internal/testzone"
)

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
