package dashboard

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/alert"
	"postern/internal/fleet"
	"postern/internal/ledger"
)

// knows stores hosts as a server does.
func (s *site) knows(hosts ...fleet.Host) {
	s.Helper()
	for _, h := range hosts {
		summary, err := json.Marshal(h)
		if err != nil {
			s.Fatal(err)
		}
		s.book.AddCheck(ledger.Check{Kind: ledger.FleetCheck, Name: h.Name, At: h.Seen, Summary: summary})
	}
	s.flush()
}

// newFleetSite is the site of mx1, in a fleet.
func newFleetSite(t *testing.T) *site {
	s := newSite(t)
	s.pages.Fleet, s.host = "mx1", "mx1"
	s.flush()
	s.logIn()
	return s
}

// elsewhere adds to the ledger of mx2, from which that of the site takes it.
func (s *site) elsewhere(add func(*ledger.Ledger)) {
	s.Helper()
	path := filepath.Join(s.TempDir(), "mx2.db")
	other := ledger.Open(path, ledger.Options{Host: "mx2"})
	add(other)
	if err := other.Close(); err != nil {
		s.Fatal(err)
	}
	other = ledger.Open(path, ledger.Options{Host: "mx2"})
	defer other.Close()
	records, err := other.Own(s.Context(), 0, 1000)
	if err == nil && len(records) == 0 {
		err = errors.New("mx2 has nothing for the others")
	}
	if err == nil {
		err = s.book.Take(s.Context(), "mx2", 0, records)
	}
	if err != nil {
		s.Fatal(err)
	}
	s.flush()
}

// A sender that fails at one host and delivers at another is seen as that, whichever host is asked.
func TestSenderThatFailsAtOneHostAndDeliversAtAnother(t *testing.T) {
	s := newFleetSite(t)
	now := time.Now()
	failed := stored("AAAAAAAAAA", "192.0.2.7", "mail.sender.example", ledger.Failed)
	failed.At = now.Add(-time.Hour)
	s.book.AddHandshake(failed)
	s.elsewhere(func(l *ledger.Ledger) {
		h := stored("BBBBBBBBBB", "192.0.2.7", "mail.sender.example", ledger.Full)
		l.AddHandshake(h)
		l.AddRefusal(ledger.Refusal{Last: now, Network: h.Network, Command: "RCPT", Reply: "550 5.7.1 relaying denied", Count: 1, Session: "BBBBBBBBBB"})
		l.AddEvent(ledger.Event{At: now, Kind: ledger.CertificateChanged, Subject: "mx2.example.org", Text: "expires 2027-01-01"})
	})
	for path, want := range map[string][]string{
		"/senders/192.0.2.0/24": {
			"mail.sender.example, at mx1</span>", "mail.sender.example, at mx2</span>",
			`<span class="state warn">! fails here</span> <span class="name">early-ticket, since`, "delivers at mx2</span>", "✓ works",
		},
		"/handshakes": {
			`<td>mx1</td>`, `<td>mx2</td>`, "AAAAAAAAAA", "BBBBBBBBBB",
			`<label>Host <select name="host"><option value="">all</option><option value="mx1">mx1</option><option value="mx2">mx2</option></select></label>`,
		},
		"/handshakes?host=mx2":   {"BBBBBBBBBB", `<option value="mx2" selected>`, `<a href="?last=7d&amp;host=mx2">`, `&amp;host=mx2&amp;to=`},
		"/handshakes/BBBBBBBBBB": {", at mx2</p>"},
		"/refusals":              {"<td>mx2</td>", "relaying denied"},
		"/":                      {"✓ OK", "Every sender in the last 24 hours delivered.", "certificate mx2.example.org expires 2027-01-01 at mx2"},
		"/?host=mx2":             {"Every sender in the last 24 hours at mx2 delivered."},
	} {
		_, body := s.get(path)
		for _, part := range want {
			if !strings.Contains(body, part) {
				t.Errorf("%s: no %q in\n%s", path, part, body)
			}
		}
	}
	for path, not := range map[string]string{
		"/handshakes?host=mx2": "AAAAAAAAAA", "/handshakes?host=mx1": "BBBBBBBBBB", "/refusals?host=mx1": "relaying denied",
		"/senders/192.0.2.0/24?host=mx2": "fails here", "/?host=mx1": "certificate mx2",
	} {
		if _, body := s.get(path); strings.Contains(body, not) {
			t.Errorf("%s has %q:\n%s", path, not, body)
		}
	}
	if _, body := s.get("/handshakes?format=json"); !strings.Contains(body, `"host":"mx1"`) || !strings.Contains(body, `"host":"mx2"`) {
		t.Errorf("JSON: %s", body)
	}
}

// What is wrong at any host is on the overview of each, while that host is there to say so.
func TestAlertsOfOtherHostsAreOnTheOverview(t *testing.T) {
	s := newFleetSite(t)
	now := time.Now()
	s.book.AddHandshake(stored("AAAAAAAAAA", "192.0.2.7", "mail.sender.example", ledger.Full))
	down := ledger.Alert{
		ID: 7, Kind: string(alert.NextHopDown), Subject: "smtp://127.0.0.1:2526", Text: "The next hop does not take mail.",
		Next: "Start the server.", Since: now.Add(-time.Hour), Began: now, Seen: now,
	}
	drops := ledger.Alert{ID: 8, Kind: string(alert.LedgerDrops), Subject: "ledger.db", Text: "Dropped.", Next: "See the log.", Since: now, Began: now, Seen: now}
	s.book.PutAlert(drops)
	s.elsewhere(func(l *ledger.Ledger) {
		l.PutAlert(down)
		l.PutAlert(drops)
	})
	self := fleet.Host{Name: "mx1", Self: true, Said: now, Seen: now}
	s.knows(self, fleet.Host{Name: "mx2", Said: now, Seen: now})
	class, text := s.sentenceOf("")
	if class != "bad" || !strings.Contains(text, "No mail gets through at mx2, since ") || !strings.Contains(text, "The ledger drops events (ledger.db) at mx1, mx2.") {
		t.Errorf("%s, %q", class, text)
	}
	if class, text := s.sentenceOf("?host=mx1"); class == "bad" || strings.Contains(text, "mx2") {
		t.Errorf("at mx1: %s, %q", class, text)
	}
	if _, body := s.get("/"); !strings.Contains(body, `<a href="/alerts#alert-mx2-7">Alert 7 of mx2</a>`) {
		t.Errorf("no link to the alert in\n%s", body)
	}
	_, body := s.get("/alerts")
	if !strings.Contains(body, `id="alert-mx2-7"`) || !strings.Contains(body, "Alert 7 of mx2, which can be acknowledged there.") ||
		strings.Count(body, "<button aria-describedby=") != 1 {
		t.Errorf("alerts:\n%s", body)
	}
	s.knows(self, fleet.Host{Name: "mx2", Said: now.Add(-time.Hour), Seen: now.Add(-time.Hour)})
	if _, text := s.sentenceOf(""); strings.Contains(text, "No mail gets through") || !strings.Contains(text, "mx2 is missing") {
		t.Errorf("mx2 is gone: %q", text)
	}
}

// Each failure of a host looks as docs/fleet.md says.
func TestFleetPageShowsEachFailure(t *testing.T) {
	s := newSite(t)
	s.logIn()
	if status, _ := s.get("/fleet"); status != http.StatusNotFound {
		t.Errorf("without a fleet: %d", status)
	}
	if _, body := s.get("/"); strings.Contains(body, "/fleet") {
		t.Error("the overview of a host alone speaks of a fleet")
	}
	s.pages.Fleet = "mx1"
	now := time.Now()
	const hostile = `mx<script>alert(1)</script>`
	s.knows(
		fleet.Host{Name: "mx1", Version: "v1.2.0", Self: true, Started: now.Add(-time.Hour), Published: now.Add(-3 * time.Minute), Taken: now, KeySince: now.Add(-3 * time.Hour), Said: now, Seen: now},
		fleet.Host{Name: "mx2", Version: "v1.3.0", Said: now, Seen: now},
		fleet.Host{Name: "mx3", Version: "v1.2.0", Said: now.Add(-time.Hour), Seen: now.Add(-time.Hour)},
		fleet.Host{Name: "mx4", Said: now.Add(4 * time.Minute), Seen: now},
		fleet.Host{Name: "mx5", Problem: "pins: nats: <b>maximum</b> bytes exceeded", Said: now, Seen: now},
		fleet.Host{Name: "mx6", Stopped: true, Said: now.Add(-time.Hour), Seen: now.Add(-time.Hour)},
		fleet.Host{Name: hostile, Unreadable: "was not written with this secret-file", Seen: now},
	)
	_, body := s.get("/fleet")
	for _, part := range []string{
		`<a href="/fleet" aria-current="page">Fleet</a>`,
		"3 of 7 hosts of the fleet share; stopped: 1. Versions differ: v1.2.0, v1.3.0.",
		`mx1 <span class="name">this host</span>`, "3 hours old", "<td>3 minutes</td>", `<td><span class="state ok">✓ shares</span></td>`,
		"<h2>mx3 is missing</h2>", "Look whether it runs",
		"The clock of mx4 is 4m0s ahead of most others.", "<td>4m0s ahead</td>",
		"mx5 goes on alone: pins: nats: &lt;b&gt;maximum&lt;/b&gt; bytes exceeded.",
		`<td><span class="state unknown">– has stopped</span></td>`,
		"mx&lt;script&gt;alert(1)&lt;/script&gt; has another secret</h2>", "Give all hosts the same secret-file",
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %q in\n%s", part, body)
		}
	}
	if strings.Contains(body, "<script>alert") {
		t.Error("the page has markup of a stranger in NATS")
	}
	if _, body := s.get("/fleet?format=json"); strings.Count(body, "\n") != 7 || !strings.Contains(body, `"state":"missing"`) || !strings.Contains(body, `"clock_seconds":240`) {
		t.Errorf("JSON: %s", body)
	}
	_, body = s.get("/")
	for _, part := range []string{
		`<h3><a href="/fleet">mx3 is missing</a> <span class="state warn">! Attention</span></h3>`,
		`<p><a href="/fleet">3 of 7 hosts of the fleet share; stopped: 1.</a></p>`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %q in\n%s", part, body)
		}
	}
}
