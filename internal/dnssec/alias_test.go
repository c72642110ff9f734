package dnssec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
	"postern/internal/testzone"
)

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
