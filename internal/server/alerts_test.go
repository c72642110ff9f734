package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"postern/internal/alert"
	"postern/internal/config"
	"postern/internal/nexthop/maildir"
	"postern/internal/nexthop/relay"
	"postern/internal/testcert"
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
	}{{0, ""}, {15, ""}, {17, "expires on"}, {31, "has expired on"}} {
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
