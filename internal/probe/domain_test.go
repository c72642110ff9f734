package probe

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/emersion/go-smtp"

	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testzone"
)

// A testDomain is a domain on loopback: an MX host, its zone and its policy.
type testDomain struct {
	t       *testing.T
	host    *testcert.Pair
	port    uint16
	records []string
	secure  bool
	web     *testcert.Pair            // of mta-sts.example.test; nil: the host's
	policy  string                    // served at mta-sts.example.test
	serve   func(http.ResponseWriter) // does so in its place

	signing *testzone.Server // in place of records: the probe validates what it serves
}

const goodPolicy = "version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 1209600\n"

func newTestDomain(t *testing.T) *testDomain {
	t.Helper()
	return testDomainWith(t, testcert.New(t, testcert.Options{Names: []string{"mx.example.test", "mta-sts.example.test"}}))
}

func testDomainWith(t *testing.T, pair *testcert.Pair) *testDomain {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return quiet{}, nil }))
	server.Domain, server.TLSConfig = "mx.example.test", &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return &testDomain{
		t: t, host: pair, port: uint16(listener.Addr().(*net.TCPAddr).Port), secure: true, policy: goodPolicy,
		records: []string{"example.test. MX 10 mx.example.test.", "mx.example.test. A 127.0.0.1"},
	}
}

type quiet struct{ smtp.Session }

func (quiet) Reset()        {}
func (quiet) Logout() error { return nil }

// tlsa publishes the hash of what a certificate has for a key (3 1 1).
func (p *testDomain) tlsa(usage int, pair *testcert.Pair) {
	p.t.Helper()
	p.publish(usage, pair.TLS.Certificate[0])
}

func (p *testDomain) publish(usage int, der []byte) {
	p.t.Helper()
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	p.records = append(p.records, fmt.Sprintf("_%d._tcp.mx.example.test. TLSA %d 1 1 %x", p.port, usage, sha256.Sum256(certificate.RawSubjectPublicKeyInfo)))
}

func (p *testDomain) txt(name, text string) {
	p.records = append(p.records, fmt.Sprintf("%s.example.test. TXT %s", name, strconv.Quote(text)))
}

// probe probes the domain as one sender.
func (p *testDomain) probe() *Report {
	p.t.Helper()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if p.serve != nil {
			p.serve(w)
			return
		}
		io.WriteString(w, p.policy)
	}))
	if p.web == nil {
		p.web = p.host
	}
	web.TLS = &tls.Config{Certificates: []tls.Certificate{p.web.TLS}}
	web.StartTLS()
	p.t.Cleanup(web.Close)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: p.web.Pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, web.Listener.Addr().String())
		},
	}}
	one, _ := persona.Find(healthyID)
	prober := &Prober{Port: p.port, RootCAs: p.host.Pool, HTTP: client, Personas: []*persona.Persona{one}}
	if p.signing != nil {
		prober.Resolver, prober.TrustAnchors = p.signing.Addr, p.anchors()
	} else {
		prober.Resolver = zone(p.t, p.secure, p.records...)
	}
	r, err := prober.Probe(context.Background(), "example.test")
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func TestDomainWithoutFaults(t *testing.T) {
	t.Parallel()
	p := newTestDomain(t)
	p.txt("_mta-sts", "v=STSv1; id=1")
	p.txt("_smtp._tls", "v=TLSRPTv1; rua=mailto:tls@example.test")
	p.tlsa(usageEndEntity, p.host)
	r := p.probe()
	for _, id := range []string{"mta-sts", "tlsrpt", "dane"} {
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == id })
		if i < 0 || r.Findings[i].Severity != OK {
			t.Errorf("%s is not ok in %+v", id, r.Findings)
		}
	}
}

// Each domain has one fault, which a finding names.
func TestFaultsOfDomainsAreFound(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		make     func(p *testDomain)
		id       string
		severity Severity
	}{
		"nothing published":   {func(*testDomain) {}, "mta-sts", Notice},
		"no reports":          {func(*testDomain) {}, "tlsrpt", Notice},
		"no TLSA":             {func(*testDomain) {}, "dane", Notice},
		"two records":         {func(p *testDomain) { p.txt("_mta-sts", "v=STSv1; id=1"); p.txt("_mta-sts", "v=STSv1; id=2") }, "mta-sts-record", Warning},
		"record without id":   {func(p *testDomain) { p.txt("_mta-sts", "v=STSv1;") }, "mta-sts-record", Warning},
		"MX missing, enforce": {policy("version: STSv1\nmode: enforce\nmx: other.example.test\nmax_age: 1209600\n"), "mta-sts-mx", Critical},
		"MX missing, testing": {policy("version: STSv1\nmode: testing\nmx: *.mx.example.test\nmax_age: 1209600\n"), "mta-sts-mx", Warning},
		"short max_age":       {policy("version: STSv1\nmode: enforce\nmx: *.example.test\nmax_age: 300\n"), "mta-sts-age", Notice},
		"expires at once":     {policy("version: STSv1\nmode: enforce\nmx: *.example.test\nmax_age: 0\n"), "mta-sts-age", Warning},
		"policy's host's certificate expired": {func(p *testDomain) {
			policy(goodPolicy)(p)
			p.web = testcert.New(p.t, testcert.Options{Names: []string{"mta-sts.example.test"}, NotAfter: time.Now().Add(-time.Hour)})
		}, "mta-sts-policy", Warning},
		"mode none":                      {policy("version: STSv1\nmode: none\nmax_age: 86400\n"), "mta-sts", Notice},
		"empty line at the policy's end": {policy(goodPolicy + "\n"), "mta-sts-syntax", Warning},
		"mx that is an address":          {policy(goodPolicy + "mx: 192.0.2.1\n"), "mta-sts-syntax", Warning},
		"no policy at all":               {policy("<html>welcome</html>"), "mta-sts-policy", Warning},
		"two report records": {func(p *testDomain) {
			p.txt("_smtp._tls", "v=TLSRPTv1; rua=mailto:a@b.test")
			p.txt("_smtp._tls", "v=TLSRPTv1; rua=mailto:c@d.test")
		}, "tlsrpt", Warning},
		"report record without rua": {func(p *testDomain) { p.txt("_smtp._tls", "v=TLSRPTv1; to=me") }, "tlsrpt", Warning},
		"stale TLSA":                {func(p *testDomain) { p.tlsa(usageEndEntity, testcert.New(p.t, testcert.Options{})) }, "dane-mismatch", Critical},
		"TLSA of a wrong usage":     {func(p *testDomain) { p.tlsa(1, p.host) }, "dane-unusable", Warning},
		"TLSA without DNSSEC":       {func(p *testDomain) { p.secure = false; p.tlsa(usageEndEntity, p.host) }, "dane-unsigned", Notice},
		"TLSA during a rollover": {func(p *testDomain) {
			p.tlsa(usageEndEntity, testcert.New(p.t, testcert.Options{}))
			p.tlsa(usageEndEntity, p.host)
		}, "dane", OK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTestDomain(t)
			tt.make(p)
			r := p.probe()
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == tt.id })
			if i < 0 || r.Findings[i].Severity != tt.severity {
				t.Errorf("want %s, %v in %+v", tt.id, tt.severity, r.Findings)
			} else if tt.severity > OK && len(r.Findings[i].Advice) == 0 {
				t.Error("no advice")
			}
		})
	}
}

// policy publishes a record and a policy.
func policy(text string) func(*testDomain) {
	return func(p *testDomain) {
		p.txt("_mta-sts", "v=STSv1; id=1")
		p.policy = text
	}
}

// Opportunistic senders accept any certificate; senders with a policy do not deliver.
func TestCertificateThatViolatesThePolicy(t *testing.T) {
	t.Parallel()
	p := newTestDomain(t)
	policy("version: STSv1\nmode: enforce\nmx: *.example.test\nmax_age: 1209600\n")(p)
	p.records = append(p.records, "example.test. MX 20 second.example.test.", "second.example.test. A 127.0.0.1")
	r := p.probe()
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == "mta-sts-certificate" })
	if i < 0 || r.Findings[i].Severity != Critical {
		t.Errorf("%+v", r.Findings)
	}
}

// What a domain publishes can be as hostile as what a server sends.
func TestHostileDomains(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		records []string
		serve   func(http.ResponseWriter)
		id      string
	}{
		"policy without end":  {serve: func(w http.ResponseWriter) { endless(w, "mx: a.example.test\n") }, id: "mta-sts-policy"},
		"bomb for a policy":   {serve: bomb, id: "mta-sts-policy"},
		"escapes in a policy": {serve: func(w http.ResponseWriter) { io.WriteString(w, "version: \x1b[2J\u202e\n") }, id: "mta-sts-policy"},
		"escapes in a mode":   {serve: func(w http.ResponseWriter) { io.WriteString(w, strings.Replace(goodPolicy, "enforce", "\x1b[2J", 1)) }, id: "mta-sts-policy"},
		"escapes in a record": {records: []string{`_smtp._tls.example.test. TXT "v=TLSRPTv1; rua=mailto:\027[2J@example.test"`}, id: "tlsrpt"},
		"escapes in an MX":    {records: []string{`example.test. MX 20 \027[2J.example.test.`}, id: "mx-without-address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTestDomain(t)
			p.txt("_mta-sts", "v=STSv1; id=1")
			p.records = append(p.records, tt.records...)
			p.serve = tt.serve
			r := p.probe()
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.ID == tt.id && f.Severity > Notice }) {
				t.Errorf("no finding %s in %+v", tt.id, r.Findings)
			}
			for _, f := range r.AllFindings() {
				for _, text := range append([]string{f.Title}, f.Evidence...) {
					if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
						t.Errorf("%s has a control character at %d: %q", f.ID, i, text)
					}
				}
				for _, a := range f.Advice {
					if strings.ContainsFunc(a.Action, func(r rune) bool { return !unicode.IsPrint(r) }) {
						t.Errorf("%s has a control character in its advice: %q", f.ID, a.Action)
					}
				}
			}
		})
	}
}

func endless(w io.Writer, line string) {
	for {
		if _, err := io.WriteString(w, strings.Repeat(line, 1000)); err != nil {
			return
		}
	}
}

// bomb is 256 MiB of zeros, compressed to a quarter of a MiB.
func bomb(w http.ResponseWriter) {
	w.Header().Set("Content-Encoding", "gzip")
	small := new(bytes.Buffer)
	large := gzip.NewWriter(small)
	for range 256 {
		large.Write(make([]byte, 1<<20))
	}
	large.Close()
	w.Write(small.Bytes())
}
