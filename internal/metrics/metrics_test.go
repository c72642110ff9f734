package metrics

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"postern/internal/admission"
	"postern/internal/fallback"
	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/nexthop/relay"
	"postern/internal/smtp"
	"postern/internal/smtpd"
	"postern/internal/testcpu"
	"postern/internal/testlog"
	"postern/mtasts"
	"postern/sessionticket"
)

// idle is the state of a server that has certificates and nothing to do.
func idle() State {
	return State{
		SMTP: smtpd.State{Sessions: 3, Limits: smtpd.DefaultLimits},
		Certificates: []*x509.Certificate{
			{DNSNames: []string{"mx.example.org"}, PublicKeyAlgorithm: x509.ECDSA, PublicKey: &ecdsa.PublicKey{}, NotAfter: time.Unix(2e9, 0)},
		},
		Policies: map[mtasts.Mode]int{mtasts.Enforce: 2, "": 1},
		Findings: map[ledger.CheckKind]map[string]int{ledger.HostCheck: {"ok": 7, "critical": 1}, ledger.DomainCheck: {"notice": 4}},
		Fleet:    &fleet.Status{Since: time.Unix(1.9e9, 0), Published: time.Unix(1.9e9, 0), Taken: time.Unix(1.9e9, 0)},
	}
}

func newMetrics() *Metrics {
	m := New()
	m.Collect(idle)
	return m
}

// gather returns what a scrape gets, without what is about Go and the process.
func gather(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	ours := make(map[string]*dto.MetricFamily)
	for _, family := range all {
		if strings.HasPrefix(family.GetName(), "postern_") {
			ours[family.GetName()] = family
		}
	}
	return ours
}

// value returns the value of a series: "postern_sessions_total result=refused tls=none".
func value(t *testing.T, m *Metrics, name string, labels ...string) float64 {
	t.Helper()
	family := gather(t, m)[name]
	sum, found := 0.0, false
	for _, one := range family.GetMetric() {
		has := func(label string) bool {
			return slices.ContainsFunc(one.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName()+"="+l.GetValue() == label })
		}
		if slices.ContainsFunc(labels, func(label string) bool { return !has(label) }) {
			continue
		}
		found = true
		sum += one.GetCounter().GetValue() + one.GetGauge().GetValue() + float64(one.GetHistogram().GetSampleCount())
	}
	if !found {
		t.Errorf("no series %s%v", name, labels)
	}
	return sum
}

func session() smtpd.SessionResult {
	return smtpd.SessionResult{Sender: netip.MustParseAddrPort("192.0.2.7:40000"), JA4: "t13d", Mode: sessionticket.Stock}
}

func TestASessionIsCountedOnceByItsResult(t *testing.T) {
	with := func(change func(*smtpd.SessionResult)) smtpd.SessionResult {
		r := session()
		change(&r)
		return r
	}
	secure := func(version uint16, resumed bool) *tls.ConnectionState {
		return &tls.ConnectionState{Version: version, DidResume: resumed}
	}
	for _, tt := range []struct {
		name   string
		r      smtpd.SessionResult
		id     string
		labels []string
	}{
		{"full TLS 1.3", with(func(r *smtpd.SessionResult) { r.TLS, r.Messages = secure(tls.VersionTLS13, false), 1 }), "", []string{"result=delivered", "tls=1.3", "resumed=false"}},
		{"resumed TLS 1.2", with(func(r *smtpd.SessionResult) { r.TLS, r.Messages = secure(tls.VersionTLS12, true), 2 }), "", []string{"result=delivered", "tls=1.2", "resumed=true"}},
		{"plaintext", with(func(r *smtpd.SessionResult) { r.JA4, r.Messages = "", 1 }), "", []string{"result=delivered", "tls=none", "resumed=false"}},
		{"failed", session(), "early-ticket", []string{"result=handshake_failed", "tls=none"}},
		{"scanner", session(), ledger.Scanner, []string{"result=scanner", "tls=none"}},
		{"over a limit", with(func(r *smtpd.SessionResult) { r.JA4, r.Limit, r.Deferred = "", new(admission.Reached), 1 }), "", []string{"result=over_limit", "tls=none"}},
		{"refused", with(func(r *smtpd.SessionResult) { r.JA4, r.Refused = "", 1 }), "", []string{"result=refused", "tls=none"}},
		{"nothing", with(func(r *smtpd.SessionResult) { r.TLS = secure(tls.VersionTLS13, false) }), "", []string{"result=no_mail", "tls=1.3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMetrics()
			m.SessionEnded(tt.r, tt.id)
			if all, one := value(t, m, "postern_sessions_total"), value(t, m, "postern_sessions_total", tt.labels...); all != 1 || one != 1 {
				t.Errorf("%v sessions are counted, %v as %v", all, one, tt.labels)
			}
			failures := 0.0
			if tt.id == "early-ticket" {
				failures = 1
			}
			if n := value(t, m, "postern_handshake_failures_total"); n != failures {
				t.Errorf("%v failures are counted", n)
			}
		})
	}
}

func TestAFailureIsCountedByCaseAndMode(t *testing.T) {
	m := newMetrics()
	m.SessionEnded(session(), "early-ticket")
	early := session()
	early.JA4 = ""
	m.SessionEnded(early, ledger.Unknown)
	for _, labels := range [][]string{{"case=early-ticket", "mode=stock"}, {"case=unknown", "mode=none"}} {
		if n := value(t, m, "postern_handshake_failures_total", labels...); n != 1 {
			t.Errorf("%v: %v failures", labels, n)
		}
	}
}

// Any client can say in EHLO that it is Google, so only the name that DNS confirms counts.
func TestASessionIsCountedForTheOrganizationOfItsSender(t *testing.T) {
	m := newMetrics()
	for _, host := range []string{"mail-wm1-f45.google.com", "google.com.sender.example", "mail.sender.example", ""} {
		r := session()
		r.JA4, r.EHLO, r.Messages = "", "mail-wm1-f45.google.com", 1
		m.SessionEnded(r, "")(host)
	}
	for organization, want := range map[string]float64{"google": 1, "other": 3} {
		if n := value(t, m, "postern_organization_sessions_total", "organization="+organization, "result=delivered"); n != want {
			t.Errorf("%s: %v sessions, want %v", organization, n, want)
		}
	}
	if n := value(t, m, "postern_organization_sessions_total"); n != 4 {
		t.Errorf("%v sessions are counted", n)
	}
}

// A server that has not checked itself does not seem to have no findings.
func TestFindingsAreCountedByKindAndSeverity(t *testing.T) {
	m := newMetrics()
	for _, labels := range [][]string{{"kind=host", "severity=critical"}, {"kind=host"}} {
		if n := value(t, m, "postern_probe_findings", labels...); n != 1 {
			t.Errorf("%v: %v findings", labels, n)
		}
	}
	if n := value(t, m, "postern_probe_findings", "kind=domain", "severity=notice"); n != 4 {
		t.Errorf("%v findings about domains", n)
	}
	m = New()
	m.Collect(func() State { return State{} })
	if family := gather(t, m)["postern_probe_findings"]; family != nil {
		t.Errorf("findings before the first check: %v", family)
	}
}

func TestProbesCountNowhere(t *testing.T) {
	m := newMetrics()
	r := session()
	r.Probe, r.Bytes = true, 100
	m.SessionEnded(r, "early-ticket")("mail.google.com")
	m.CommandRefused(smtpd.RefusedCommand{Probe: true, Reply: smtp.NewReply(550, "5.7.1", "no")})
	for _, name := range []string{"postern_sessions_total", "postern_organization_sessions_total", "postern_handshake_failures_total", "postern_refusals_total", "postern_message_bytes_total"} {
		if n := value(t, m, name); n != 0 {
			t.Errorf("%s is %v after a probe", name, n)
		}
	}
}

func TestARefusalIsCountedByWhoSaidIt(t *testing.T) {
	m := newMetrics()
	remote := smtp.NewReply(451, "4.7.1", "greylisted")
	remote.Remote = true
	m.CommandRefused(smtpd.RefusedCommand{Reply: remote})
	m.CommandRefused(smtpd.RefusedCommand{Reply: smtp.NewReply(550, "5.7.1", "no")})
	for _, labels := range [][]string{{"by=next hop", "class=4xx"}, {"by=postern", "class=5xx"}} {
		if n := value(t, m, "postern_refusals_total", labels...); n != 1 {
			t.Errorf("%v: %v", labels, n)
		}
	}
}

func TestTheNextHopIsTimedAndItsFailuresCounted(t *testing.T) {
	m := newMetrics()
	m.NextHopStep("MAIL", 3*time.Millisecond, false)
	m.NextHopStep("connect", 0, true)
	m.Stored(time.Millisecond, false)
	if n := value(t, m, "postern_next_hop_duration_seconds"); n != 2 {
		t.Errorf("%v steps are timed; a failure has no time", n)
	}
	if n := value(t, m, "postern_next_hop_duration_seconds", "step="+relay.EndOfText); n != 1 {
		t.Errorf("%v messages are timed in the Maildir", n)
	}
	if n := value(t, m, "postern_next_hop_failures_total", "step=connect"); n != 1 {
		t.Errorf("%v failures", n)
	}
}

// What senders, submitters and their servers say changes no label: the number of series has a
// bound that is known at the start.
func TestNothingThatStrangersSayMakesASeries(t *testing.T) {
	m := newMetrics()
	before := gather(t, m)
	for i := range 200 {
		r := session()
		r.EHLO, r.JA4, r.Mode = fmt.Sprintf("mail%d.example\x00\xff", i), fmt.Sprint("t13d", i), sessionticket.Mode(i%5)
		r.TLS = &tls.ConnectionState{Version: uint16(0x0300 + i), DidResume: i%2 == 0}
		r.Messages, r.End = i%3, fmt.Sprint("end ", i)
		named := m.SessionEnded(r, []string{"", ledger.Unknown, ledger.Scanner, "early-ticket"}[i%4])
		named(fmt.Sprintf("mail%d.sender%d.example", i, i))
		reply := smtp.NewReply(400+i, "4.0.0", fmt.Sprint(i))
		m.CommandRefused(smtpd.RefusedCommand{Command: fmt.Sprint("X", i), From: fmt.Sprint(i), Reply: reply})
		m.MessageAccepted(smtpd.AcceptedMessage{Recipients: []string{fmt.Sprint(i)}, Took: time.Second})
		m.Decided([]fallback.Decision{{Kind: fallback.Kind(fmt.Sprint("kind", i)), Why: fmt.Sprint(i), To: sessionticket.Mode(i)}})
		m.ReportStored(ledger.Report{Submitter: fmt.Sprint(i), Verified: i%2 == 0, Successful: -5, Failed: int64(i)})
	}
	for name, family := range gather(t, m) {
		if family.GetType() == dto.MetricType_HISTOGRAM {
			continue // made when they are first used; see below
		}
		if now, was := len(family.GetMetric()), len(before[name].GetMetric()); now != was {
			t.Errorf("%s has %d series, %d at the start", name, now, was)
		}
	}
	if n := len(gather(t, m)["postern_handshake_duration_seconds"].GetMetric()); n > 4 {
		t.Errorf("handshakes have %d histograms", n)
	}
}

func TestCertificatesOfOneNameAreOneSeries(t *testing.T) {
	late := &x509.Certificate{Subject: pkix.Name{CommonName: "mx.example.org"}, PublicKeyAlgorithm: x509.RSA, NotAfter: time.Unix(3e9, 0)}
	soon := &x509.Certificate{DNSNames: []string{"mx.example.org", "x\xff"}, PublicKeyAlgorithm: x509.RSA, NotAfter: time.Unix(2e9, 0)}
	m := New()
	m.Collect(func() State { return State{Certificates: []*x509.Certificate{late, soon, late}} })
	if end := value(t, m, "postern_certificate_expiry_timestamp_seconds", "name=mx.example.org", "key=RSA"); end != 2e9 {
		t.Errorf("ends at %v, want the earlier end", end)
	}
}

// Names follow the conventions of Prometheus: https://prometheus.io/docs/practices/naming/.
func TestPromlintFindsNothing(t *testing.T) {
	m := newMetrics()
	everything(m)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// everything makes all histograms.
func everything(m *Metrics) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, resumed := range []bool{false, true} {
			r := session()
			r.TLS = &tls.ConnectionState{Version: version, DidResume: resumed}
			m.SessionEnded(r, "")
		}
	}
	for _, step := range relay.Steps() {
		m.NextHopStep(step, time.Millisecond, false)
	}
	m.MessageAccepted(smtpd.AcceptedMessage{Took: time.Second})
	m.DKIMVerified(time.Millisecond)
}

// docs/metrics.md has each metric with its type, its labels and their values, and no other.
func TestThePageListsEachMetric(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics()
	everything(m)
	ours := gather(t, m)
	row := regexp.MustCompile("(?m)^\\| `(postern_[a-z0-9_]+)` \\| ([a-z]+) \\| ([^|]*) \\| [^|]+ \\|$")
	listed := make(map[string]bool)
	for _, cells := range row.FindAllStringSubmatch(string(page), -1) {
		name := cells[1]
		listed[name] = true
		family := ours[name]
		if family == nil {
			t.Errorf("docs/metrics.md lists %s, which there is not", name)
			continue
		}
		if kind := strings.ToLower(family.GetType().String()); kind != cells[2] {
			t.Errorf("%s is a %s, docs/metrics.md has %s", name, kind, cells[2])
		}
		if labels := strings.Join(labelsOf(family), ", "); labels != strings.ReplaceAll(cells[3], "`", "") {
			t.Errorf("%s has the labels %s, docs/metrics.md has %s", name, labels, cells[3])
		}
	}
	for name, family := range ours {
		if !listed[name] {
			t.Errorf("docs/metrics.md lacks %s; add the line\n| `%s` | %s | %s | %s |", name, name,
				strings.ToLower(family.GetType().String()), strings.Join(labelsOf(family), ", "), family.GetHelp())
		}
		for _, one := range family.GetMetric() {
			for _, label := range one.GetLabel() {
				if slices.Contains([]string{"name", "version", "revision", "goversion", "case", "step"}, label.GetName()) {
					continue // from the operator, the build, docs/cases, and the log
				}
				if !strings.Contains(string(page), "`"+label.GetValue()+"`") {
					t.Errorf("docs/metrics.md does not explain the value %q of %s in %s", label.GetValue(), label.GetName(), name)
				}
			}
		}
	}
}

func labelsOf(family *dto.MetricFamily) (names []string) {
	for _, one := range family.GetMetric() {
		for _, label := range one.GetLabel() {
			if !slices.Contains(names, label.GetName()) {
				names = append(names, label.GetName())
			}
		}
	}
	slices.Sort(names)
	return names
}

// A scrape in the text format has classic buckets, and one in protobuf native ones beside them.
func TestHistogramsHaveClassicAndNativeBuckets(t *testing.T) {
	m := newMetrics()
	everything(m)
	handler := m.Handler(slog.New(slog.DiscardHandler))
	text := httptest.NewRecorder()
	handler.ServeHTTP(text, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(text.Body.String(), `postern_message_duration_seconds_bucket{le="1"} 1`) {
		t.Error("no classic buckets")
	}
	if h := gather(t, m)["postern_message_duration_seconds"].GetMetric()[0].GetHistogram(); len(h.GetPositiveDelta()) == 0 || len(h.GetBucket()) == 0 {
		t.Errorf("native %v, classic %v", h.GetPositiveDelta(), h.GetBucket())
	}
}

// Mail does not wait for a scrape, whatever that waits for: something that it asks, or its reader.
func TestMailDoesNotWaitForAScrape(t *testing.T) {
	m := New()
	asked, answer := make(chan struct{}), make(chan struct{})
	m.Collect(func() State {
		asked <- struct{}{}
		<-answer
		return idle()
	})
	var scrapes sync.WaitGroup
	scrape := func(w http.ResponseWriter) {
		scrapes.Go(func() {
			m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		})
		<-asked
	}
	slow := &slowReader{ResponseRecorder: httptest.NewRecorder(), begun: make(chan struct{}), read: make(chan struct{})}
	scrape(slow)
	answer <- struct{}{}
	<-slow.begun
	scrape(httptest.NewRecorder())

	counted := make(chan struct{})
	go func() {
		everything(m)
		close(counted)
	}()
	select {
	case <-counted:
	case <-time.After(time.Minute):
		t.Fatal("sessions wait for a scrape")
	}
	answer <- struct{}{}
	close(slow.read)
	scrapes.Wait()
}

// A slowReader reads nothing until read is closed.
type slowReader struct {
	*httptest.ResponseRecorder
	once        sync.Once
	begun, read chan struct{}
}

func (r *slowReader) Write(b []byte) (int, error) {
	r.once.Do(func() { close(r.begun) })
	<-r.read
	return r.ResponseRecorder.Write(b)
}

// The cost of a message with metrics: five steps of the next hop, a message, and its part of a
// session.
func BenchmarkMessage(b *testing.B) {
	for _, each := range []int{1, 20} {
		b.Run(fmt.Sprint(each), func(b *testing.B) {
			m := newMetrics()
			everything(m)
			r := session()
			r.TLS, r.Messages = &tls.ConnectionState{Version: tls.VersionTLS13}, each
			accepted := smtpd.AcceptedMessage{Recipients: []string{"a"}, Took: time.Second}
			used, sent := testcpu.Used(b), 0
			b.ReportAllocs()
			for b.Loop() {
				for _, step := range []string{"connect", "MAIL", "RCPT", "DATA", relay.EndOfText} {
					m.NextHopStep(step, time.Millisecond, false)
				}
				m.MessageAccepted(accepted)
				if sent++; sent%each == 0 {
					m.SessionEnded(r, "")("mail.sender.example")
				}
			}
			b.ReportMetric(float64(testcpu.Used(b)-used)/float64(b.N), "cpu-ns/message")
		})
	}
}

func BenchmarkScrape(b *testing.B) {
	m := newMetrics()
	everything(m)
	handler := m.Handler(slog.New(slog.DiscardHandler))
	size := 0
	for b.Loop() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		size = w.Body.Len()
	}
	b.ReportMetric(float64(size), "B/scrape")
}

// A client that goes away in the middle of a scrape fails at each of its metrics.
func TestAScrapeThatIsGivenUpIsNotLogged(t *testing.T) {
	var log testlog.Log
	scrapes := errorLog{log.Logger()}
	for range 50 {
		scrapes.Println("error encoding and sending metric family:", fmt.Errorf("writing: %w", context.Canceled))
		scrapes.Println("error encoding and sending metric family:", http.ErrHandlerTimeout)
	}
	scrapes.Println("error gathering metrics:", fs.ErrInvalid)
	if n := log.Count("cannot collect all metrics"); n != 1 {
		t.Errorf("%d lines", n)
	}
}
