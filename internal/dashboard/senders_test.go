package dashboard

import (
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/sessionticket"
)

// store adds events to the ledger. A page must then have a text.
func (s *site) store(add func(*ledger.Ledger), path, text string) {
	s.Helper()
	add(s.book)
	s.flush()
	if _, body := s.get(path); !strings.Contains(body, text) {
		s.Fatalf("%s does not have %q:\n%s", path, text, body)
	}
}

// stored is a session of a sender.
func stored(id, address, ehlo string, outcome ledger.Outcome) ledger.Handshake {
	from := netip.MustParseAddr(address)
	h := ledger.Handshake{
		Session: id, At: time.Now(), Address: from, Network: admission.Network(from), EHLO: ehlo,
		Fingerprint: "t13d1516h2_8daaf6152771_02713d6af862", Outcome: outcome, Mode: sessionticket.OwnWrite,
	}
	if outcome == ledger.Failed {
		h.Stopped = "closed silently by the client, after NewSessionTicket"
		h.Diagnoses = []ledger.Diagnosis{{Case: "early-ticket", Confidence: 0.9, Evidence: []string{"the ticket was early"}}}
	} else {
		h.Version, h.Delivered = 0x0304, true
	}
	return h
}

// post sends a form with the token of the page, and returns what it leads to.
func (s *site) post(path string, form url.Values) (int, string) {
	s.Helper()
	_, body := s.get("/senders")
	token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(body)
	if token == nil {
		s.Fatal("no token in the page")
	}
	form.Set("csrf", token[1])
	response, err := s.PostForm(s.url+path, form)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode, response.Request.URL.Path
}

func TestSendersThatLoseMailComeFirst(t *testing.T) {
	s := newSite(t)
	s.logIn()
	s.store(func(l *ledger.Ledger) {
		for range 9 {
			l.AddHandshake(stored("AAAAAAAAAA", "192.0.2.7", "mail.fine.example", ledger.Full))
		}
		l.AddHandshake(stored("BBBBBBBBBB", "198.51.100.7", "mx1.broken.example", ledger.Full))
		l.AddHandshake(stored("CCCCCCCCCC", "198.51.100.7", "mx1.broken.example", ledger.Failed))
		l.AddHandshake(stored("DDDDDDDDDD", "203.0.113.7", "mx2.broken.example", ledger.Failed))
	}, "/senders", "mx2.broken.example")
	_, body := s.get("/senders")
	broken, fine := strings.Index(body, `colspan="10">broken.example`), strings.Index(body, `colspan="10">fine.example`)
	if broken < 0 || fine < broken {
		t.Errorf("broken.example is not first:\n%s", body)
	}
	for _, want := range []string{"by EHLO", "2 attempts lost", "cannot deliver", "✓ works", "early-ticket"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if _, body := s.get("/senders?sender=fine"); strings.Contains(body, "broken.example") {
		t.Errorf("a search for fine finds broken.example:\n%s", body)
	}
	if _, lines := s.get("/senders?format=json"); strings.Count(lines, "\n") != 3 || !strings.Contains(lines, `"failing":1`) {
		t.Errorf("JSON twin: %s", lines)
	}
}

func TestPinIsSetAndRemovedByForms(t *testing.T) {
	s := newSite(t)
	s.logIn()
	s.store(func(l *ledger.Ledger) {
		l.AddHandshake(stored("AAAAAAAAAA", "192.0.2.7", "mail.sender.example", ledger.Full))
	}, "/senders", "mail.sender.example")
	pin := url.Values{"network": {"192.0.2.0/24"}, "mode": {"tls12"}, "why": {"they asked <b>us</b>"}}
	if status, path := s.post("/senders/pin", pin); status != http.StatusOK || path != "/senders/192.0.2.0/24" {
		t.Fatalf("pin: %d at %s", status, path)
	}
	for _, path := range []string{"/senders", "/senders/192.0.2.0/24", "/fallback"} {
		s.store(func(*ledger.Ledger) {}, path, "they asked &lt;b&gt;us&lt;/b&gt;")
	}
	if status, path := s.post("/senders/unpin", url.Values{"network": {"192.0.2.0/24"}}); status != http.StatusOK || path != "/senders/192.0.2.0/24" {
		t.Fatalf("unpin: %d at %s", status, path)
	}
	if status, _ := s.post("/senders/unpin", url.Values{"network": {"192.0.2.0/24"}}); status != http.StatusConflict {
		t.Errorf("a second unpin: %d", status)
	}
	for name, wrong := range map[string]url.Values{
		"no reason":  {"network": {"192.0.2.0/24"}, "mode": {"tls12"}, "why": {" "}},
		"no mode":    {"network": {"192.0.2.0/24"}, "mode": {"none"}, "why": {"because"}},
		"no network": {"network": {"mail.example"}, "mode": {"tls12"}, "why": {"because"}},
	} {
		if status, _ := s.post("/senders/pin", wrong); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func TestViewerCannotPin(t *testing.T) {
	s := newSite(t)
	s.logIn()
	for _, one := range s.pages.access.sessions {
		one.Role = viewer
	}
	_, body := s.get("/senders/192.0.2.0/24")
	if strings.Contains(body, `action="/senders/pin"`) {
		t.Error("the page offers a viewer to pin")
	}
	if status, _ := s.post("/senders/pin", url.Values{"network": {"192.0.2.0/24"}, "mode": {"tls12"}, "why": {"because"}}); status != http.StatusForbidden {
		t.Errorf("a viewer's pin: %d", status)
	}
}

func TestJournalHasEveryDecisionAndItsUndo(t *testing.T) {
	s := newSite(t)
	s.logIn()
	network := netip.MustParsePrefix("192.0.2.0/24")
	s.store(func(l *ledger.Ledger) {
		l.AddDecisions([]fallback.Decision{
			{At: time.Now().Add(-time.Hour), Kind: fallback.FellBack, Network: network, Fingerprint: "t13", From: sessionticket.Stock, To: sessionticket.OwnWrite, Why: "closed silently after our flight"},
			{At: time.Now(), Kind: fallback.FellBack, Network: network, Fingerprint: "t13", From: sessionticket.OwnWrite, To: sessionticket.NoTicket, Why: "closed silently after the ticket"},
		})
	}, "/fallback", "closed silently after the ticket")
	_, body := s.get("/fallback")
	if strings.Count(body, "fell back from") != 2 || strings.Count(body, "to own-write…") != 1 || strings.Contains(body, "to stock…") {
		t.Errorf("want both decisions, and the undo of the last:\n%s", body)
	}
	undo := regexp.MustCompile(`href="(/senders/192.0.2.0/24\?[^"]+)#pins"`).FindStringSubmatch(body)
	if undo == nil {
		t.Fatalf("no link that undoes in\n%s", body)
	}
	_, form := s.get(html.UnescapeString(undo[1]))
	if !strings.Contains(form, `<option value="own-write" selected>`) || !strings.Contains(form, `value="undoes fell-back of`) {
		t.Errorf("the form is not filled in:\n%s", form)
	}
}

func TestRefusalsSayWhoSaidWhat(t *testing.T) {
	s := newSite(t)
	s.logIn()
	s.store(func(l *ledger.Ledger) {
		l.AddRefusal(ledger.Refusal{
			Last: time.Now(), Network: netip.MustParsePrefix("192.0.2.0/24"), EHLO: "mail.sender.example", Command: "RCPT",
			From: "sender.example", To: "example.org", Reply: "550 5.1.1 no <such> user", Remote: true, Count: 3, Session: "AAAAAAAAAA",
		})
	}, "/refusals", "no &lt;such&gt; user")
	_, body := s.get("/refusals")
	for _, want := range []string{"✕ refused", "said by the next hop", "sender.example", "/senders/192.0.2.0/24"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if _, body := s.get("/refusals?recipient=other.example"); strings.Contains(body, "such") {
		t.Errorf("another recipient's refusal:\n%s", body)
	}
}

func TestFailedHandshakeIsExplained(t *testing.T) {
	s := newSite(t)
	s.logIn()
	failed := stored("CCCCCCCCCC", "192.0.2.7", "mail.sender.example", ledger.Failed)
	transcript, err := (&handshake.Transcript{Start: failed.At}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	failed.Transcript = transcript
	s.store(func(l *ledger.Ledger) {
		l.AddHandshake(stored("AAAAAAAAAA", "192.0.2.7", "mail.sender.example", ledger.Full))
		l.AddHandshake(failed)
	}, "/handshakes", "CCCCCCCCCC")
	_, body := s.get("/handshakes/CCCCCCCCCC")
	for _, want := range []string{"<svg", "the ticket was early", "Closes silently when the session ticket arrives", `href="/handshakes/AAAAAAAAAA"`, "To the postmaster of mail.sender.example (192.0.2.7)"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	for path, want := range map[string]string{
		"/handshakes/CCCCCCCCCC/account":    "To the postmaster of mail.sender.example (192.0.2.7)",
		"/handshakes/CCCCCCCCCC/transcript": `"version"`,
	} {
		response, err := s.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if _, body := s.get(path); !strings.Contains(body, want) || !strings.HasPrefix(response.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: %s\n%s", path, response.Header.Get("Content-Disposition"), body)
		}
	}
	if status, _ := s.get("/handshakes/AAAAAAAAAA/account"); status != http.StatusNotFound {
		t.Errorf("the account of a handshake that completed: %d", status)
	}
}
