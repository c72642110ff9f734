package selfcheck

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/dnsrecords"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/testcert"
	"postern/internal/testzone"
)

// A testSite is a server on loopback that is the MX host of its domains.
type testSite struct {
	*testing.T
	Settings
	prober probe.Prober
	path   string
	book   *ledger.Ledger
}

// A countingListener counts connections.
type countingListener struct {
	net.Listener
	accepted atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

// serveMail serves a mail server with a certificate, and returns its listener.
func serveMail(t *testing.T, address string, pair *testcert.Pair) *countingListener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingListener{Listener: listener}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return quiet{}, nil }))
	server.Domain, server.TLSConfig = "mx.example.org", &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	server.ErrorLog = log.New(io.Discard, "", 0)
	go server.Serve(counting)
	t.Cleanup(func() { server.Close() })
	return counting
}

type quiet struct{ smtp.Session }

func (quiet) Reset()        {}
func (quiet) Logout() error { return nil }

// newTestSite serves mx.example.org, with records in the zone example.org beside those of the
// host.
func newTestSite(t *testing.T, records ...string) *testSite {
	t.Helper()
	t.Parallel()
	s := &testSite{T: t, path: filepath.Join(t.TempDir(), "ledger.db")}
	pair := testcert.New(t, testcert.Options{Names: []string{"mx.example.org"}})
	listener := serveMail(t, "127.0.0.1:0", pair)
	zone := testzone.Start(t, testzone.Zone{Name: ".", Records: append([]string{"mx.example.org. A 127.0.0.1"}, records...)})
	s.Settings = Settings{Hostname: "mx.example.org"}
	s.prober = probe.Prober{Port: uint16(listener.Addr().(*net.TCPAddr).Port), RootCAs: pair.Pool, Resolver: zone.Addr}
	s.book = ledger.Open(s.path, ledger.Options{})
	return s
}

// check makes a check, and returns what is stored then.
func (s *testSite) check() *ledger.Reader {
	s.Helper()
	r := New(s.Settings, s.prober, s.book, s.path, slog.New(slog.DiscardHandler))
	r.check(s.Context(), s.Settings)
	if err := s.book.Close(); err != nil {
		s.Fatal(err)
	}
	book, err := ledger.OpenReader(s.path)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { book.Close() })
	return book
}

func (s *testSite) content(book *ledger.Reader, kind ledger.CheckKind, name string, into any) {
	s.Helper()
	stored, err := book.Check(s.Context(), kind, name)
	if err == nil {
		err = json.Unmarshal(stored.Content, into)
	}
	if err != nil {
		s.Fatal(err)
	}
}

func TestCheckOfAHostHasEveryTestClient(t *testing.T) {
	s := newTestSite(t)
	book := s.check()
	var found jsonout.Probed
	s.content(book, ledger.HostCheck, "mx.example.org", &found)
	if len(found.Hosts) != 1 || len(found.Hosts[0].Addresses) != 1 {
		t.Fatalf("hosts: %+v", found.Hosts)
	}
	runs := found.Hosts[0].Addresses[0].Senders
	if len(runs) != len(persona.All()) {
		t.Errorf("%d runs of %d test clients", len(runs), len(persona.All()))
	}
	for id, want := range map[string]string{"healthy-go": "completed resumed TLS 1.3", "early-ticket": "failed  TLS 1.3", "tls12-only": "completed resumed TLS 1.2"} {
		i := slices.IndexFunc(runs, func(r jsonout.SenderRun) bool { return r.ID == id })
		if got := fmt.Sprintf("%s %s %s", runs[i].Outcome, runs[i].Resumption, runs[i].Version); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
		if runs[i].Handshake == nil || runs[i].JA4 == "" {
			t.Errorf("%s: no handshake or fingerprint", id)
		}
	}
	listed, err := book.Checks(t.Context(), ledger.CheckFilter{Kind: ledger.HostCheck})
	if err != nil || len(listed) != 1 || listed[0].Severity != int(probe.Critical) || strings.Contains(string(listed[0].Summary), "handshake\":") {
		t.Errorf("listed: %+v, %v", listed, err)
	}
}

func TestTestClientsLeaveHostsOfOthersAlone(t *testing.T) {
	s := newTestSite(t,
		"example.org. MX 10 mx.example.org.", "customer.example. MX 10 mx2.example.org.", "customer.example. MX 20 mx.stranger.example.",
		"mx2.example.org. A 127.0.0.1", "mx.stranger.example. A 127.0.0.2")
	stranger := serveMail(t, fmt.Sprintf("127.0.0.2:%d", s.prober.Port), testcert.New(t, testcert.Options{Names: []string{"mx.stranger.example"}}))
	s.Domains = []string{"example.org", "customer.example"}
	book := s.check()
	hosts, err := book.Checks(t.Context(), ledger.CheckFilter{Kind: ledger.HostCheck})
	if err != nil || len(hosts) != 2 || hosts[0].Name != "mx.example.org" || hosts[1].Name != "mx2.example.org" {
		t.Errorf("test clients ran against %+v, %v", hosts, err)
	}
	// A healthy client: first, with its session, last, and some aborted handshakes.
	if got := stranger.accepted.Load(); got == 0 || got > 12 {
		t.Errorf("%d connections to the host of somebody else", got)
	}
}

func TestCheckOfADomainHasItsAreas(t *testing.T) {
	s := newTestSite(t, "example.org. MX 10 mx.example.org.", "unsafe.example. MX 10 elsewhere.example.org.")
	s.Domains = []string{"example.org", "unsafe.example", "missing.example"}
	s.Records = func(domain string) (dnsrecords.Config, dnsrecords.NextKey, error) {
		return dnsrecords.Config{Domain: domain, Host: "mx.example.org", Report: "mailto:tls@" + domain}, dnsrecords.NextKey{}, nil
	}
	book := s.check()
	states := func(domain string) string {
		var health jsonout.DomainHealth
		s.content(book, ledger.DomainCheck, domain, &health)
		var all []string
		for _, area := range health.Areas {
			all = append(all, area.Area+" "+area.Severity)
		}
		return strings.Join(all, ", ")
	}
	for domain, want := range map[string]string{
		"example.org":     "mx ok, certificate ok, mta-sts notice, tlsa notice, tlsrpt notice, dnssec notice",
		"unsafe.example":  "mx critical, certificate unclear, mta-sts notice, tlsa notice, tlsrpt notice, dnssec notice",
		"missing.example": "mx warning, certificate unclear, mta-sts unclear, tlsa unclear, tlsrpt notice, dnssec unclear",
	} {
		if got := states(domain); got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
	listed, err := book.Checks(t.Context(), ledger.CheckFilter{Kind: ledger.DomainCheck})
	if err != nil || len(listed) != 3 || listed[0].Name != "unsafe.example" {
		t.Errorf("the worst is not first: %+v, %v", listed, err)
	}
}

func TestDomainsThatAreGoneAreForgotten(t *testing.T) {
	s := newTestSite(t, "example.org. MX 10 mx.example.org.")
	s.Domains = []string{"example.org"}
	s.book.AddCheck(ledger.Check{Kind: ledger.DomainCheck, Name: "sold.example", At: time.Now(), Summary: []byte(`{}`)})
	book := s.check()
	if when, err := book.Checked(t.Context(), ledger.DomainCheck); err != nil || when.Count != 1 {
		t.Errorf("%d domains, %v", when.Count, err)
	}
}

func TestManyDomainsTakeTurns(t *testing.T) {
	s := newTestSite(t)
	for i := range 3 * MaxDomains {
		s.Domains = append(s.Domains, fmt.Sprintf("d%04d.example", i))
	}
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i, domain := range s.Domains[:2*MaxDomains] {
		severity := probe.OK
		if i >= MaxDomains { // more than fit
			severity = probe.Critical
		}
		s.book.AddCheck(ledger.Check{Kind: ledger.DomainCheck, Name: domain, At: noon.Add(time.Duration(i) * time.Second), Severity: int(severity), Summary: []byte(`{}`)})
	}
	if err := s.book.Close(); err != nil {
		t.Fatal(err)
	}
	c := &check{Runner: New(s.Settings, s.prober, s.book, s.path, slog.New(slog.DiscardHandler)), Settings: s.Settings}
	due := c.due(t.Context())
	want := append(slices.Clone(s.Domains[MaxDomains:MaxDomains+MaxDomains/2]), s.Domains[2*MaxDomains:2*MaxDomains+MaxDomains/2]...)
	if !slices.Equal(due, want) {
		t.Errorf("due are %d: %v", len(due), due)
	}
}

// The metrics have the findings of the last checks, after a restart too.
func TestFindingsAreThoseOfTheLastChecks(t *testing.T) {
	s := newTestSite(t, "example.org. MX 10 mx.example.org.", "unsafe.example. MX 10 elsewhere.example.org.")
	s.Domains = []string{"example.org", "unsafe.example"}
	r := New(s.Settings, s.prober, s.book, s.path, slog.New(slog.DiscardHandler))
	if found := r.Findings(); len(found) != 0 {
		t.Errorf("findings before the first check: %v", found)
	}
	r.check(t.Context(), s.Settings)
	found := r.Findings()
	if hosts, domains := found[ledger.HostCheck], found[ledger.DomainCheck]; hosts["critical"] == 0 || domains["critical"] != 1 || domains["notice"] != 8 {
		t.Errorf("%v", found)
	}
	if err := s.book.Close(); err != nil {
		t.Fatal(err)
	}

	s.book = ledger.Open(s.path, ledger.Options{})
	restarted := New(s.Settings, s.prober, s.book, s.path, slog.New(slog.DiscardHandler))
	restarted.load(t.Context())
	if after := restarted.Findings(); !reflect.DeepEqual(after, found) {
		t.Errorf("after a restart %v, before it %v", after, found)
	}
	s.Domains = s.Domains[:1]
	restarted.check(t.Context(), s.Settings)
	if after := restarted.Findings()[ledger.DomainCheck]; after["critical"] != 0 {
		t.Errorf("without the unsafe domain %v", after)
	}
	s.book.Close()
}

func TestCheckIsDueOnceADay(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }
	daily := Settings{Daily: true, At: 7 * time.Hour}
	for name, test := range map[string]struct{ last, now, want time.Time }{
		"never checked":                 {time.Time{}, at(24, 9), at(24, 9).Add(startDelay)},
		"checked this morning":          {at(24, 7), at(24, 9), at(25, 7)},
		"checked yesterday, before":     {at(23, 7), at(24, 6), at(24, 7)},
		"off for days":                  {at(20, 7), at(24, 6), at(24, 6).Add(startDelay)},
		"off at seven":                  {at(23, 7), at(24, 8), at(24, 8).Add(startDelay)},
		"asked for after the daily one": {at(24, 12), at(24, 13), at(25, 7)},
	} {
		if got, ok := daily.next(test.last, test.now); !ok || !got.Equal(test.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, ok, test.want)
		}
	}
	if _, ok := (Settings{}).next(time.Time{}, at(24, 9)); ok {
		t.Error("a check is due where none is wanted")
	}
}

func TestOneRequestAtATime(t *testing.T) {
	s := newTestSite(t)
	defer s.book.Close()
	r := New(s.Settings, s.prober, s.book, s.path, slog.New(slog.DiscardHandler))
	if err := r.Request(); err != nil {
		t.Fatal(err)
	}
	if err := r.Request(); !errors.Is(err, ErrRunning) {
		t.Errorf("a second request: %v", err)
	}
	go r.Run(t.Context())
	for !r.Progress().Since.IsZero() {
		runtime.Gosched()
	}
	if err := r.Request(); !errors.Is(err, ErrTooSoon) {
		t.Errorf("a request right after a check: %v", err)
	}
}
