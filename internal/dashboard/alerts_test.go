package dashboard

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/alert"
	"postern/internal/ledger"
	"postern/internal/testlog"
)

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// An operator sees what is wrong and what to do, and acknowledges it.
func TestAlertsAreListedAndAcknowledged(t *testing.T) {
	s := newSite(t)
	var log testlog.Log
	s.pages.Log = log.Logger()
	s.logIn()
	if _, body := s.get("/alerts"); !strings.Contains(body, "No alert is open") {
		t.Errorf("without alerts:\n%s", body)
	}
	s.book.PutAlert(ledger.Alert{ID: 1, Kind: string(alert.LedgerDrops), Subject: "ledger.db", Ended: time.Now().Add(-time.Hour)})
	s.book.PutAlert(ledger.Alert{
		ID: 2, Kind: string(alert.SenderStopped), Subject: "sender.example", Text: "sender.example <script> used to deliver.", Next: "Ask them.", Since: time.Now(),
	})
	s.flush()
	_, body := s.get("/alerts")
	for _, want := range []string{"Acknowledge</button>", "✕ failed", "sender.example cannot deliver any more", "&lt;script&gt;", "Ask them.", "The ledger drops events (ledger.db)"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s:\n%s", want, body)
		}
	}
	post := func(path, csrf string) int {
		response, err := s.PostForm(s.url+path, url.Values{"csrf": {csrf}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	csrf := csrfField.FindStringSubmatch(body)[1]
	if status := post("/alerts/2/acknowledge", "forged"); status != http.StatusForbidden {
		t.Errorf("a form of another page: %d", status)
	}
	for path, want := range map[string]int{"/alerts/2/acknowledge": http.StatusOK, "/alerts/1/acknowledge": http.StatusNotFound, "/alerts/x/acknowledge": http.StatusNotFound} {
		if status := post(path, csrf); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	if _, body := s.get("/alerts"); !strings.Contains(body, "by link of postern dashboard: no more reminders") || strings.Contains(body, "Acknowledge</button>") {
		t.Errorf("after it was acknowledged:\n%s", body)
	}
	if line := log.String(); strings.Count(line, "changed by dashboard") != 1 || !strings.Contains(line, `action=acknowledge user="link of postern dashboard" client=127.0.0.1 alert=2`) {
		t.Errorf("the log has\n%s", line)
	}
	if _, body := s.get("/alerts?format=json"); !strings.Contains(body, `"alert":2`) || !strings.Contains(body, `"by":"link of postern dashboard"`) {
		t.Errorf("as JSON:\n%s", body)
	}
}
