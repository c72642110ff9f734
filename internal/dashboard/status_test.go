package dashboard

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/alert"
	"postern/internal/ledger"
)

// sentenceOf returns the class and the words of the overview's sentence.
func (s *site) sentenceOf(query string) (class, text string) {
	s.Helper()
	status, body := s.get("/" + query)
	found := regexp.MustCompile(`<p class="sentence (\w+)"><span class="state \w+">([^<]+)</span> ([^<]+)</p>`).FindStringSubmatch(body)
	if status != http.StatusOK || found == nil {
		s.Fatalf("no sentence: %d\n%s", status, body)
	}
	return found[1], found[2] + ": " + found[3]
}

// The overview follows a sender from a quiet night to its first failure and back.
func TestOverviewSaysWhoCannotDeliver(t *testing.T) {
	s := newSite(t)
	s.logIn()
	want := func(query, class, words string) {
		t.Helper()
		if gotClass, got := s.sentenceOf(query); gotClass != class || !regexp.MustCompile("^"+words+"$").MatchString(got) {
			t.Errorf("%s, %q; want %s, %q", gotClass, got, class, words)
		}
	}
	want("", "unknown", `\? No data: No mail came in the last 24 hours\.`)

	address := netip.MustParseAddr("192.0.2.7")
	add := func(session, ehlo string, outcome ledger.Outcome) {
		t.Helper()
		h := ledger.Handshake{
			Session: session, At: time.Now(), Address: address, Network: admission.Network(address), EHLO: ehlo,
			Fingerprint: "t13d1516h2_8daaf6152771_02713d6af862", Outcome: outcome, Delivered: outcome != ledger.Failed,
		}
		if outcome == ledger.Failed {
			h.Diagnoses = []ledger.Diagnosis{{Case: "early-ticket", Confidence: 0.99}}
			h.Next = "mode own-write: the sender closed silently after the ticket"
		}
		s.book.AddHandshake(h)
		s.flush()
	}
	add("AAAAAAAAAA", "mail.other.example", ledger.Full)
	want("", "ok", `✓ OK: Every sender in the last 24 hours delivered\.`)

	const hostile = `mail.sender.example<script>alert(1)</script>`
	add("BBBBBBBBBB", "mail.sender.example", ledger.Failed)
	add("CCCCCCCCCC", hostile, ledger.Failed)
	want("", "bad", `✕ Failed: Every sender in the last 24 hours delivered, except 192\.0\.2\.0/24 \(mail\.sender\.example&lt;script&gt;alert\(1\)&lt;/script&gt;\) and sender\.example, the first since \d\d:\d\d UTC\.`)
	_, body := s.get("/")
	for _, part := range []string{
		`">sender.example</a> <span class="state bad">✕ cannot deliver</span></h3>`,
		`<strong>Next:</strong> Wait for its next attempt, which Postern answers in mode own-write.`,
		`href="/handshakes/BBBBBBBBBB"`, "Closes silently when the session ticket arrives",
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %q in\n%s", part, body)
		}
	}
	if strings.Contains(body, "<script>alert") {
		t.Error("the page has markup of a sender")
	}
	_, body = s.get("/?format=json")
	if !strings.Contains(body, `"state":"failed"`) || !strings.Contains(body, `"effect":"cannot-deliver","who":"sender.example"`) {
		t.Errorf("JSON: %s", body)
	}

	add("DDDDDDDDDD", "mail.sender.example", ledger.Full)
	add("EEEEEEEEEE", hostile, ledger.Full)
	want("?last=7d", "ok", `✓ OK: Every sender in the last 7 days delivered\.`)
	s.book.AddCheck(ledger.Check{Kind: ledger.HostCheck, Name: "mx.example.org", At: time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC), Summary: []byte("{}")})
	for body = ""; !strings.Contains(body, "Last self-check"); {
		_, body = s.get("/")
	}
	if part := `Nothing to do. <a href="/simulation">Last self-check</a> <time datetime="2026-11-24T07:00:00Z">`; !strings.Contains(body, part) {
		t.Errorf("no %q in\n%s", part, body)
	}
}

// When no mail gets through, the first page says that first, and what to do.
func TestOverviewSaysThatTheNextHopIsDown(t *testing.T) {
	s := newSite(t)
	s.logIn()
	address := netip.MustParseAddr("192.0.2.7")
	s.book.AddHandshake(ledger.Handshake{
		Session: "AAAAAAAAAA", At: time.Now(), Address: address, Network: admission.Network(address), EHLO: "mail.sender.example", Outcome: ledger.Full, Delivered: true,
	})
	s.flush()
	now := time.Now()
	s.book.PutAlert(ledger.Alert{
		ID: 7, Kind: string(alert.NextHopDown), Subject: "smtp://127.0.0.1:2526", Text: "The next hop does not take mail: connection refused.",
		Next: "Start the server.", Since: now.Add(-time.Hour), Began: now, Seen: now,
	})
	s.flush()
	class, text := s.sentenceOf("")
	if class != "bad" || !regexp.MustCompile(`^✕ Failed: No mail gets through, since [^:]*\d\d:\d\d UTC: the next hop smtp://127\.0\.0\.1:2526 is down\.$`).MatchString(text) {
		t.Errorf("the sentence is %q", text)
	}
	_, body := s.get("/")
	for _, part := range []string{
		`<h3>The next hop smtp://127.0.0.1:2526 is down <span class="state bad">✕ Failed</span></h3>`,
		"<strong>Next:</strong> Start the server.", `<a href="/alerts#alert-7">Alert 7</a>, not acknowledged.`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %q in\n%s", part, body)
		}
	}
	if _, body = s.get("/?format=json"); !strings.Contains(body, `"state":"failed"`) || !strings.Contains(body, `"alert":{"alert":7,"kind":"next-hop-down"`) {
		t.Errorf("JSON: %s", body)
	}
	if class, _ := s.sentenceOf("?from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z"); class == "bad" {
		t.Error("a span in the past has what is open now")
	}
}
