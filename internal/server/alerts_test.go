package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"postern/internal/alert"
	"postern/internal/config"
	"postern/internal/nexthop/maildir"
	"postern/internal/nexthop/relay"
	"postern/internal/smtpd"
	"postern/internal/testcert"
	"postern/internal/testlog"
	"postern/internal/testzone"
)

func loaded(t *testing.T, o testcert.Options) *tls.Certificate {
	t.Helper()
	pair := testcert.New(t, o)
	cert, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}

func TestCertificateThatExpiresSoon(t *testing.T) {
	cert := loaded(t, testcert.Options{Names: []string{"mx.example.org"}, NotAfter: time.Now().Add(30 * 24 * time.Hour)})
	for _, test := range []struct {
		days int
		want string
	}{{0, ""}, {15, ""}, {17, "expires on"}, {31, "expired on"}} {
		got := expiring([]*tls.Certificate{cert}, time.Now().AddDate(0, 0, test.days))
		switch {
		case test.want == "" && len(got) > 0, test.want != "" && (len(got) != 1 || !strings.Contains(got[0].Text, test.want)):
			t.Errorf("after %d days: %+v", test.days, got)
		case test.want != "" && (got[0].Kind != alert.CertificateExpires || !strings.HasPrefix(got[0].Subject, "mx.example.org")):
			t.Errorf("after %d days: %+v", test.days, got)
		}
	}
}

func TestTLSARecordsThatMatchNoCertificate(t *testing.T) {
	cert, other := loaded(t, testcert.Options{}), loaded(t, testcert.Options{})
	record := func(usage int, of *tls.Certificate) dns.RR {
		r := &dns.TLSA{Hdr: dns.RR_Header{Name: "_25._tcp.mx.example.org.", Rrtype: dns.TypeTLSA}}
		if err := r.Sign(usage, 1, 1, of.Leaf); err != nil {
			t.Fatal(err)
		}
		return r
	}
	presented := []*tls.Certificate{cert}
	for _, test := range []struct {
		what    string
		records []dns.RR
		secure  bool
		differ  bool
	}{
		{"none", nil, true, false},
		{"matches", []dns.RR{record(3, cert)}, true, false},
		{"one of two matches, as in a rollover", []dns.RR{record(3, other), record(3, cert)}, true, false},
		{"of another certificate", []dns.RR{record(3, other)}, true, true},
		{"not secured by DNSSEC", []dns.RR{record(3, other)}, false, false},
		{"of a usage that no mail server has", []dns.RR{record(1, other)}, true, false},
	} {
		if got := differing("mx.example.org", test.records, test.secure, presented); len(got) > 0 != test.differ {
			t.Errorf("%s: %+v", test.what, got)
		}
	}
}

// A next hop is down when it fails twice, and up when it answers.
func TestNextHopThatIsDown(t *testing.T) {
	hopConfig, err := relay.ParseURL("smtp://192.0.2.1:25")
	if err != nil {
		t.Fatal(err)
	}
	up := false
	hopConfig.Dial = func(context.Context, string, string) (net.Conn, error) {
		if !up {
			return nil, errors.New("connection refused")
		}
		here, there := net.Pipe()
		go answerEHLO(there)
		return here, nil
	}
	c := &config.Config{NextHop: &hopConfig}
	hop := relay.New(hopConfig, "mx.example.org", nil)
	var health hopHealth
	now := time.Now()
	ask := func() []alert.Condition {
		now = now.Add(hopInterval)
		return health.conditions(t.Context(), hop, c, now)
	}
	if got := ask(); got != nil {
		t.Errorf("after one failure: %+v", got)
	}
	first := now
	if got := ask(); len(got) != 1 || got[0].Kind != alert.NextHopDown || !got[0].Since.Equal(first) || !strings.Contains(got[0].Text, "connection refused") {
		t.Errorf("after two failures: %+v", got)
	}
	up = true
	if got := ask(); got != nil {
		t.Errorf("after an answer: %+v", got)
	}
}

// answerEHLO is a mail server as far as a probe sees one.
func answerEHLO(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 1024)
	for _, reply := range []string{"220 backend.example ESMTP", "250 backend.example", "221 bye"} {
		if _, err := fmt.Fprintf(conn, "%s\r\n", reply); err != nil {
			return
		}
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

func TestMaildirThatCannotBeWritten(t *testing.T) {
	c := &config.Config{Data: t.TempDir()}
	hop, err := maildir.New(c.MaildirFolder(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var health hopHealth
	if got := health.conditions(t.Context(), hop, c, time.Now()); got != nil || health.failures > 0 {
		t.Errorf("a Maildir that works: %+v", got)
	}
	if err := os.RemoveAll(c.MaildirFolder()); err != nil {
		t.Fatal(err)
	}
	health = hopHealth{}
	now := time.Now()
	health.conditions(t.Context(), hop, c, now)
	got := health.conditions(t.Context(), hop, c, now.Add(time.Minute))
	if len(got) != 1 || got[0].Kind != alert.NextHopDown || got[0].Subject != c.MaildirFolder() {
		t.Errorf("a Maildir that is gone: %+v", got)
	}
}

const faulty = `hostname = "mx.example.test"
domains = ["example.test"]
data = "data"
listen = ["127.0.0.1:0"]
next-hop = "smtp://127.0.0.1:1"
dashboard.listen = "off"
metrics.listen = "off"
web.listen = ["127.0.0.1:0"]
[mta-sts]
mode = "enforce"
resolver = "%s"
[[certificate]]
cert = "%s"
key = "%s"
`

// A server on which everything is wrong at once finds all of it.
func TestServerFindsItsOwnFaults(t *testing.T) {
	pair := testcert.New(t, testcert.Options{Names: []string{"mx.example.test"}, NotAfter: time.Now().Add(3 * 24 * time.Hour)})
	record := &dns.TLSA{Hdr: dns.RR_Header{Name: "_25._tcp.mx.example.test.", Rrtype: dns.TypeTLSA, Class: dns.ClassINET}}
	if err := record.Sign(3, 1, 1, loaded(t, testcert.Options{}).Leaf); err != nil {
		t.Fatal(err)
	}
	zone := testzone.Start(t, testzone.Zone{Name: ".", Records: []string{record.String()}})
	zone.SetAD(true)
	file := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, faulty, zone.Addr, pair.CertFile, pair.KeyFile), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, config.Flags{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(c, new(testlog.Log).Logger(), new(slog.LevelVar))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	find := func() map[alert.Kind]string {
		found := make(map[alert.Kind]string)
		for _, c := range s.alarm.conditions(t.Context()) {
			found[c.Kind] = c.Subject + ": " + c.Text
		}
		return found
	}
	before := find()
	if len(before) != 1 || before[alert.CertificateExpires] == "" {
		t.Errorf("before it has looked, it finds %q", before)
	}

	go s.policy.Run(t.Context(), nil)
	for domains := []string(nil); len(domains) == 0; {
		domains, _ = s.policy.Downgraded()
	}
	s.alarm.tlsa.check(t.Context(), c, s.store.Certificates())
	if err := s.observer.ledger.Close(); err != nil { // from now on it drops
		t.Fatal(err)
	}
	for range 3 {
		s.observer.ledger.PutMemory("dropped", nil)
	}
	found := find()
	for kind, want := range map[alert.Kind]string{
		alert.CertificateExpires: "mx.example.test (ECDSA): The ECDSA certificate of mx.example.test expires on",
		alert.MTASTSDowngraded:   "MTA-STS: The MTA-STS policy of example.test says enforce in the configuration, and is served as testing: ",
		alert.TLSADiffers:        "mx.example.test (ECDSA): No TLSA record of _25._tcp.mx.example.test matches the ECDSA certificate in use (published: 1)",
		alert.NextHopDown:        "smtp://127.0.0.1:1: The next hop smtp://127.0.0.1:1 does not take mail",
		alert.LedgerDrops:        "ledger.db: The ledger did not store 3 of the events",
	} {
		if !strings.HasPrefix(found[kind], want) {
			t.Errorf("%s: %q", kind, found[kind])
		}
	}
	if again := find(); again[alert.LedgerDrops] != "" {
		t.Errorf("nothing was dropped since: %s", again[alert.LedgerDrops])
	}
	if got := bypassed(smtpd.State{GateBypassed: true}); len(got) != 1 || got[0].Kind != alert.GateBypassed || len(bypassed(smtpd.State{})) != 0 {
		t.Errorf("a gate that is bypassed: %+v", got)
	}
}

// A lookup that fails changes nothing: the network may be down.
func TestTLSALookupThatFailsChangesNothing(t *testing.T) {
	c := &config.Config{Hostname: "mx.example.test"}
	c.MTASTS.Resolver = "127.0.0.1:1"
	watch := &tlsaWatch{found: []alert.Condition{{Kind: alert.TLSADiffers}}}
	watch.check(t.Context(), c, []*tls.Certificate{loaded(t, testcert.Options{})})
	if len(watch.conditions()) != 1 {
		t.Error("the alert is forgotten")
	}
	zone := testzone.Start(t, testzone.Zone{Name: "."})
	c.MTASTS.Resolver = zone.Addr
	watch.check(t.Context(), c, []*tls.Certificate{loaded(t, testcert.Options{})})
	if len(watch.conditions()) != 0 {
		t.Error("without records the alert stays")
	}
}
