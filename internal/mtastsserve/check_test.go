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

	"postern/internal/probe"
	"postern/internal/testcert"
	"postern/internal/testzone"
	"postern/mtasts"
)

// A place is example.test on loopback: its MX host, its policy's host, and its zone.
type place struct {
	ca      *testcert.CA
	mx, web *tls.Config
	records []string
	port    uint16 // of the MX host
	secure  string // address of the policy's host
	roots   *x509.CertPool
	visits  atomic.Int32 // of the MX host
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{ca: testcert.NewCA(t), records: []string{
		"example.test. MX 10 mx.example.test.", "mx.example.test. A 127.0.0.1", "mta-sts.example.test. A 127.0.0.1",
	}}
	p.mx = p.certificate(t, testcert.Options{Names: []string{"mx.example.test"}, CA: p.ca})
	pair := testcert.New(t, testcert.Options{Names: []string{"mta-sts.example.test"}, CA: p.ca})
	p.web, p.roots = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}, pair.Pool
	return p
}

func (p *place) certificate(t *testing.T, o testcert.Options) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{testcert.New(t, o).TLS}}
}

type quiet struct{ smtp.Session }

func (quiet) Reset()        {}
func (quiet) Logout() error { return nil }

// open makes both hosts answer.
func (p *place) open(t *testing.T) {
	t.Helper()
	mail, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		p.visits.Add(1)
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

func (p *place) check(t *testing.T) *Check {
	t.Helper()
	return &Check{
		Prober: probe.Prober{Port: p.port, RootCAs: p.roots, Timeout: 10 * time.Second},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if !strings.HasPrefix(addr, "mta-sts.") || !strings.HasSuffix(addr, ".test:443") {
				t.Errorf("the policy's host is asked at %s", addr)
			}
			return new(net.Dialer).DialContext(ctx, network, p.secure)
		},
	}
}

// A hundred domains of one host must not be a crowd at its door.
func TestAHostOfSeveralDomainsIsAskedOnce(t *testing.T) {
	p := newPlace(t)
	p.open(t)
	check := p.check(t)
	settings := Settings{
		Policy:   mtasts.Policy{MX: []string{"*.example.test"}},
		Resolver: testzone.Start(t, testzone.Zone{Name: ".", Records: append(p.records, "*.hosted.test. MX 10 mx.example.test.")}).Addr,
	}
	var counts []int32
	for _, domains := range []int{1, 20} {
		p.visits.Store(0)
		round := check.Begin(settings)
		var all sync.WaitGroup
		for i := range domains {
			all.Go(func() { round(t.Context(), fmt.Sprintf("d%d.hosted.test", i)) })
		}
		all.Wait()
		counts = append(counts, p.visits.Load())
	}
	if counts[0] == 0 || counts[0] != counts[1] {
		t.Errorf("the host saw %d visits for one domain, and %d for twenty", counts[0], counts[1])
	}
}

func TestWhatSpeaksAgainstEnforce(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(*testing.T, *place)
		want string // "host refused: why … remedy", or without refused; empty: nothing
	}{
		"all well": {func(*testing.T, *place) {}, ""},
		"expired certificate": {func(t *testing.T, p *place) {
			p.mx = p.certificate(t, testcert.Options{Names: []string{"mx.example.test"}, CA: p.ca, NotAfter: time.Now().Add(-time.Hour)})
		}, "mx.example.test refused: handshake: tls: failed to verify certificate: x509: certificate has expired…renew its certificate"},
		"certificate of another name": {func(t *testing.T, p *place) {
			p.mx = p.certificate(t, testcert.Options{Names: []string{"mail.example.test"}, CA: p.ca})
		}, "mx.example.test refused: handshake: tls: failed to verify certificate: x509: certificate is valid for mail.example.test, not mx.example.test…give it a certificate for mx.example.test"},
		"self-signed certificate": {func(t *testing.T, p *place) {
			p.mx = p.certificate(t, testcert.Options{Names: []string{"mx.example.test"}})
		}, "mx.example.test refused: handshake: tls: failed to verify certificate: x509: certificate signed by unknown authority…give it a certificate of an authority that all know, with its intermediates"},
		"no STARTTLS": {func(_ *testing.T, p *place) { p.mx = nil },
			"mx.example.test refused: STARTTLS is not offered…let it offer STARTTLS with a certificate for mx.example.test"},
		"an MX host that the policy does not name": {func(_ *testing.T, p *place) {
			p.records = append(p.records, "example.test. MX 20 second.example.net.")
		}, `second.example.net refused: it is an MX host of example.test, and mx ["*.example.test"] does not name it…add it to mx in [mta-sts], or take its MX record away`},
		"the policy's host with the certificate of mail": {func(_ *testing.T, p *place) { p.web = p.mx },
			"mta-sts.example.test refused: tls: failed to verify certificate: x509: certificate is valid for mx.example.test, not mta-sts.example.test…give it a certificate for mta-sts.example.test"},
		"no MX record": {func(_ *testing.T, p *place) { p.records = p.records[1:] },
			"example.test: its MX records cannot be had: …publish them, or name a DNS server that knows them by resolver in [mta-sts]"},
		"null MX": {func(_ *testing.T, p *place) { p.records[0] = "example.test. MX 0 ." },
			"example.test: its MX records cannot be had: takes no mail…publish them, or name a DNS server that knows them by resolver in [mta-sts]"},
		"an MX host without an address": {func(_ *testing.T, p *place) { p.records = slices.Delete(p.records, 1, 2) },
			"mx.example.test: mx.example.test: no such domain or host…give it addresses in DNS, or take its MX record away"},
		"an MX host that does not answer": {func(_ *testing.T, p *place) { p.records[1] = "mx.example.test. A 127.0.0.77" },
			"mx.example.test: it does not answer here: The server cannot be reached from here…as the world does; where it cannot, check by postern probe from elsewhere"},
		"an IPv6 address that does not answer": {func(_ *testing.T, p *place) {
			p.records = append(p.records, "mx.example.test. AAAA ::1")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			tt.make(t, p)
			p.open(t)
			round := p.check(t).Begin(Settings{
				Policy: mtasts.Policy{MX: []string{"*.example.test"}}, Resolver: testzone.Start(t, testzone.Zone{Name: ".", Records: p.records}).Addr,
			})
			doubts := round(t.Context(), "example.test")
			if tt.want == "" {
				if len(doubts) > 0 {
					t.Errorf("got %+v", doubts)
				}
				return
			}
			start, end, _ := strings.Cut(tt.want, "…")
			if !slices.ContainsFunc(doubts, func(d Doubt) bool {
				text := d.Host
				if d.Refused {
					text += " refused"
				}
				text += ": " + d.Why + "; " + d.Remedy
				return strings.HasPrefix(text, start) && strings.HasSuffix(text, end)
			}) {
				t.Errorf("got %+v\nwant %s", doubts, tt.want)
			}
		})
	}
}
