package mtastsserve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/testcert"
	"postern/internal/testzone"
	"postern/mtasts"
)

// A testDomain is example.test on loopback: its MX host, its policy host, and its zone.
type testDomain struct {
	ca       *testcert.CA
	mx, web  *tls.Config
	records  []string
	port     uint16 // of the MX host
	secure   string // address of the policy host
	roots    *x509.CertPool
	sessions atomic.Int32 // of the MX host
}

func newTestDomain(t *testing.T) *testDomain {
	t.Helper()
	p := &testDomain{ca: testcert.NewCA(t), records: []string{
		"example.test. MX 10 mx.example.test.", "mx.example.test. A 127.0.0.1", "mta-sts.example.test. A 127.0.0.1",
	}}
	p.mx = p.certificate(t, testcert.Options{Names: []string{"mx.example.test"}, CA: p.ca})
	pair := testcert.New(t, testcert.Options{Names: []string{"mta-sts.example.test"}, CA: p.ca})
	p.web, p.roots = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}, pair.Pool
	return p
}

func (p *testDomain) certificate(t *testing.T, o testcert.Options) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{testcert.New(t, o).TLS}}
}

type quiet struct{ smtp.Session }

func (quiet) Reset()        {}
func (quiet) Logout() error { return nil }

// open starts both hosts.
func (p *testDomain) open(t *testing.T) {
	t.Helper()
	mail, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		p.sessions.Add(1)
		return quiet{}, nil
	}))
	server.Domain, server.TLSConfig = "mx.example.test", p.mx
	go server.Serve(mail)
	t.Cleanup(func() { server.Close() })
	p.port = uint16(mail.Addr().(*net.TCPAddr).Port)

	secure, err := tls.Listen("tcp", "127.0.0.1:0", p.web)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { secure.Close() })
	p.secure = secure.Addr().String()
	go func() {
		for {
			conn, err := secure.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
}

func (p *testDomain) check(t *testing.T) *Checker {
	t.Helper()
	return &Checker{
		Prober: probe.Prober{Port: p.port, RootCAs: p.roots, Timeout: time.Minute},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if !strings.HasPrefix(addr, "mta-sts.") || !strings.HasSuffix(addr, ".test:443") {
				t.Errorf("the policy host is dialled at %s", addr)
			}
			return new(net.Dialer).DialContext(ctx, network, p.secure)
		},
	}
}

// A hundred domains with one host must not mean a hundred probes of it.
func TestHostOfSeveralDomainsIsCheckedOnce(t *testing.T) {
	p := newTestDomain(t)
	p.open(t)
	check := p.check(t)
	settings := Settings{
		Policy:   mtasts.Policy{MX: []string{"*.example.test"}},
		Resolver: testzone.Start(t, testzone.Zone{Name: ".", Records: append(p.records, "*.hosted.test. MX 10 mx.example.test.")}).Addr,
	}
	var counts []int32
	for _, domains := range []int{1, 20} {
		p.sessions.Store(0)
		checkDomain := check.Begin(settings)
		var all sync.WaitGroup
		for i := range domains {
			all.Go(func() { checkDomain(t.Context(), fmt.Sprintf("d%d.hosted.test", i)) })
		}
		all.Wait()
		counts = append(counts, p.sessions.Load())
	}
	if counts[0] == 0 || counts[0] != counts[1] {
		t.Errorf("the host had %d sessions for one domain, and %d for twenty", counts[0], counts[1])
	}
}

func TestProblemsThatPreventEnforce(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(*testing.T, *testDomain)
		want string // "host refused: reason … remedy", or without refused; empty: nothing
	}{
		"no problem": {func(*testing.T, *testDomain) {}, ""},
		"expired certificate": {func(t *testing.T, p *testDomain) {
			p.mx = p.certificate(t, testcert.Options{Names: []string{"mx.example.test"}, CA: p.ca, NotAfter: time.Now().Add(-time.Hour)})
		}, "mx.example.test refused: handshake: tls: failed to verify certificate: x509: certificate has expired…renew its certificate"},
		"certificate of another name": {func(t *testing.T, p *testDomain) {
			p.mx = p.certificate(t, testcert.Options{Names: []string{"mail.example.test"}, CA: p.ca})
		}, "mx.example.test refused: handshake: tls: failed to verify certificate: x509: certificate is valid for mail.example.test, not mx.example.test…install a certificate for mx.example.test"},
		"self-signed certificate": {func(t *testing.T, p *testDomain) {
			p.mx = p.certificate(t, testcert.Options{Names: []string{"mx.example.test"}})
		}, "mx.example.test refused: handshake: tls: failed to verify certificate: x509: certificate signed by unknown authority…install a certificate of a public authority, with its intermediates"},
		"no STARTTLS": {func(_ *testing.T, p *testDomain) { p.mx = nil },
			"mx.example.test refused: STARTTLS is not offered…offer STARTTLS there with a certificate for mx.example.test"},
		"MX host not in the policy": {func(_ *testing.T, p *testDomain) {
			p.records = append(p.records, "example.test. MX 20 second.example.net.")
		}, `second.example.net refused: it is an MX host of example.test, but mx ["*.example.test"] does not match it…add it to mta-sts.mx, or remove its MX record`},
		"policy host with the certificate of mail": {func(_ *testing.T, p *testDomain) { p.web = p.mx },
			"mta-sts.example.test refused: tls: failed to verify certificate: x509: certificate is valid for mx.example.test, not mta-sts.example.test…install a certificate for mta-sts.example.test"},
		"no MX record": {func(_ *testing.T, p *testDomain) { p.records = p.records[1:] },
			"example.test: no MX records: …publish MX records, or name a DNS server that has them in mta-sts.resolver"},
		"null MX": {func(_ *testing.T, p *testDomain) { p.records[0] = "example.test. MX 0 ." },
			"example.test: no MX records: accepts no mail…publish MX records, or name a DNS server that has them in mta-sts.resolver"},
		"MX host without an address": {func(_ *testing.T, p *testDomain) { p.records = slices.Delete(p.records, 1, 2) },
			"mx.example.test: mx.example.test: no such domain or host…give it an address in DNS, or remove its MX record"},
		"MX host that does not answer": {func(_ *testing.T, p *testDomain) { p.records[1] = "mx.example.test. A 127.0.0.77" },
			"mx.example.test: no answer: Cannot connect to the server…of it reachable from this machine; if that is not possible, run postern probe elsewhere"},
		"IPv6 address that does not answer": {func(_ *testing.T, p *testDomain) {
			p.records = append(p.records, "mx.example.test. AAAA ::1")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTestDomain(t)
			tt.make(t, p)
			p.open(t)
			checkDomain := p.check(t).Begin(Settings{
				Policy: mtasts.Policy{MX: []string{"*.example.test"}}, Resolver: testzone.Start(t, testzone.Zone{Name: ".", Records: p.records}).Addr,
			})
			problems := checkDomain(t.Context(), "example.test")
			if tt.want == "" {
				if len(problems) > 0 {
					t.Errorf("got %+v", problems)
				}
				return
			}
			start, end, _ := strings.Cut(tt.want, "…")
			if !slices.ContainsFunc(problems, func(p Problem) bool {
				text := p.Host
				if p.Refused {
					text += " refused"
				}
				text += ": " + p.Reason + "; " + p.Remedy
				return strings.HasPrefix(text, start) && strings.HasSuffix(text, end)
			}) {
				t.Errorf("got %+v\nwant %s", problems, tt.want)
			}
		})
	}
}

// A check that had no time says nothing about whether the port can be reached.
func TestAddressWithoutTimeIsNotChecked(t *testing.T) {
	timeUp := []probe.Finding{{ID: "time-up", Severity: probe.Unclear}}
	notMade := probe.Run{Result: &persona.Result{Err: probe.ErrTimeUp}, Outcome: probe.Inconclusive}
	for _, a := range []*probe.Address{{Findings: timeUp}, {Findings: timeUp, Runs: []probe.Run{notMade}}} {
		if p, ok := atAddress("mx.test", a); ok || p.Refused || !strings.Contains(p.Reason, "time") || !strings.Contains(p.Remedy, "--timeout") {
			t.Errorf("%+v, %v", p, ok)
		}
	}
	made := probe.Run{Result: &persona.Result{Completed: true}, Outcome: probe.Completed}
	if p, ok := atAddress("mx.test", &probe.Address{Findings: timeUp, Runs: []probe.Run{made}}); !ok {
		t.Errorf("a sender could deliver: %+v", p)
	}
}
