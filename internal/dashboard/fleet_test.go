package dashboard

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

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
	s.pages.Fleet = true
	now := time.Now()
	const hostile = `mx<script>alert(1)</script>`
	s.knows(
		fleet.Host{Name: "mx1", Version: "v1.2.0", Self: true, Started: now.Add(-time.Hour), KeySince: now.Add(-3 * time.Hour), Said: now, Seen: now},
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
		`mx1 <span class="name">this host</span>`, "3 hours old", `<td><span class="state ok">✓ shares</span></td>`,
		"<h2>mx3 is missing</h2>", "Look whether it runs",
		"The clock of mx4 is 4m0s ahead of most others.", "<td>4m0s ahead</td>",
		"mx5 goes on alone: pins: nats: &lt;b&gt;maximum&lt;/b&gt; bytes exceeded.",
		`<td><span class="state unknown">– has stopped</span></td>`,
		"mx&lt;script&gt;alert(1)&lt;/script&gt; cannot be read</h2>", "Copy the secret-file of the other hosts to it",
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
