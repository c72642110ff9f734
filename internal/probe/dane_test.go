package probe

import (
	"context"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"postern/internal/dnssec"
	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testzone"
)

// sign serves the domain's records from signed zones, which change modifies.
func (p *testDomain) sign(change func(example *testzone.Zone)) {
	example := testzone.Zone{Name: "example.test.", Signed: true, Records: p.records}
	if change != nil {
		change(&example)
	}
	p.signing = testzone.Start(p.t, testzone.Zone{Name: ".", Signed: true}, testzone.Zone{Name: "test.", Signed: true}, example)
}

func (p *testDomain) anchors() []*dns.DS {
	p.t.Helper()
	anchors, err := dnssec.ReadAnchors(strings.NewReader(strings.Join(p.signing.Anchors, "\n")))
	if err != nil {
		p.t.Fatal(err)
	}
	return anchors
}

func TestDNSSECIsValidatedOnRequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change   func(*testzone.Zone)
		want     map[string]Severity
		evidence string
	}{
		"secure":      {nil, map[string]Severity{"dnssec": OK, "dane": OK}, "validated by this program"},
		"no DS":       {func(z *testzone.Zone) { z.NoDS = true }, map[string]Severity{"dnssec": Notice, "dane-unsigned": Notice}, "MX records insecure, addresses insecure, TLSA records insecure"},
		"not signed":  {func(z *testzone.Zone) { z.Signed = false }, map[string]Severity{"dnssec": Notice, "dane-unsigned": Notice}, "the MX records are insecure"},
		"expired":     {func(z *testzone.Zone) { z.Expired = true }, map[string]Severity{"dnssec-bogus": Critical}, "has a signature that is valid from"},
		"TLSA forged": {func(z *testzone.Zone) { z.Modify = forgeTLSA }, map[string]Severity{"dnssec": OK, "dnssec-bogus": Critical}, "do not deliver there"},
		"TLSA denied": {func(z *testzone.Zone) { z.Modify = hideTLSA }, map[string]Severity{"dnssec": OK, "dnssec-bogus": Critical}, "do not deliver there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTestDomain(t)
			p.tlsa(usageEndEntity, p.host)
			p.sign(tt.change)
			p.expect(p.probe(), tt.want, tt.evidence)
		})
	}
}

func (p *testDomain) expect(r *Report, want map[string]Severity, evidence string) {
	p.t.Helper()
	said := ""
	for _, f := range r.Findings {
		said += f.Title + ": " + strings.Join(f.Evidence, ", ") + "\n"
	}
	for id, severity := range want {
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == id })
		if i < 0 || r.Findings[i].Severity != severity {
			p.t.Errorf("want %s, %v in %+v", id, severity, r.Findings)
		}
	}
	if !strings.Contains(said, evidence) {
		p.t.Errorf("want %q in\n%s", evidence, said)
	}
}

func forgeTLSA(m *dns.Msg) {
	for _, record := range m.Answer {
		if tlsa, ok := record.(*dns.TLSA); ok {
			tlsa.Usage = usageTrustAnchor
		}
	}
}

func hideTLSA(m *dns.Msg) {
	if m.Question[0].Qtype == dns.TypeTLSA {
		m.Answer = nil
	}
}

// TLSA records count only where the addresses are signed, too (RFC 7672, Section 2.2.2):
// here an alias leads out of the signed zone.
func TestHostWithUnsignedAddressesHasNoDANE(t *testing.T) {
	t.Parallel()
	p := newTestDomain(t)
	p.records[1] = "mx.example.test. CNAME host.plain.test."
	p.tlsa(usageEndEntity, p.host)
	p.signing = testzone.Start(t, testzone.Zone{Name: ".", Signed: true}, testzone.Zone{Name: "test.", Signed: true},
		testzone.Zone{Name: "example.test.", Signed: true, Records: p.records},
		testzone.Zone{Name: "plain.test.", Records: []string{"host.plain.test. A 127.0.0.1"}})
	p.expect(p.probe(), map[string]Severity{"dnssec": Notice, "dane-unsigned": Notice}, "MX records secure, addresses insecure, TLSA records secure")
}

// A validating resolver answers SERVFAIL for bogus records, unless told not to validate.
func TestServerFailureOfValidatingResolverIsBogus(t *testing.T) {
	t.Parallel()
	p := newTestDomain(t)
	p.sign(func(z *testzone.Zone) {
		z.Modify = func(m *dns.Msg) {
			if m.Question[0].Qtype == dns.TypeMX && !m.CheckingDisabled {
				m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			}
		}
	})
	one, _ := persona.Find(healthyID)
	prober := &Prober{Port: p.port, RootCAs: p.host.Pool, Resolver: p.signing.Addr, Personas: []*persona.Persona{one}}
	r, err := prober.Probe(context.Background(), "example.test")
	if err != nil {
		t.Fatal(err)
	}
	p.expect(r, map[string]Severity{"dnssec-bogus": Critical}, "only when told not to validate")
}

// A failed lookup does not mean that there is no record.
func TestRecordsThatCannotBeLookedUpAreUnclear(t *testing.T) {
	t.Parallel()
	p := newTestDomain(t)
	p.sign(func(z *testzone.Zone) {
		z.Modify = func(m *dns.Msg) {
			if m.Question[0].Qtype == dns.TypeTXT {
				m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			}
		}
	})
	p.expect(p.probe(), map[string]Severity{"mta-sts": Unclear, "tlsrpt": Unclear}, "SERVFAIL")
}

// A record 2 1 1 names an authority whose certificate the server sends.
func TestTLSAOfAnAuthority(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		names    []string
		sent     bool
		id       string
		severity Severity
	}{
		"sent":           {[]string{"mx.example.test"}, true, "dane", OK},
		"not sent":       {[]string{"mx.example.test"}, false, "dane-mismatch", Critical},
		"of other names": {[]string{"elsewhere.test"}, true, "dane-mismatch", Critical},
	} {
		t.Run(name, func(t *testing.T) {
			authority := testcert.NewCA(t)
			content, err := os.ReadFile(authority.File)
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(content)
			pair := testcert.New(t, testcert.Options{Names: tt.names, CA: authority})
			if tt.sent {
				pair.TLS.Certificate = append(pair.TLS.Certificate, block.Bytes)
			}
			p := testDomainWith(t, pair)
			p.publish(usageTrustAnchor, block.Bytes)
			p.expect(p.probe(), map[string]Severity{tt.id: tt.severity}, "")
		})
	}
}
