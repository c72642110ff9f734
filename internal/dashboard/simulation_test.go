package dashboard

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/dnsrecords"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/internal/selfcheck"
)

// check stores a result of a self-check.
func (s *site) check(kind ledger.CheckKind, name string, severity probe.Severity, result any) {
	s.Helper()
	content, err := json.Marshal(result)
	if err != nil {
		s.Fatal(err)
	}
	s.book.AddCheck(ledger.Check{Kind: kind, Name: name, At: time.Now(), Severity: int(severity), Summary: content, Content: content})
	s.flush()
}

// simulated is the result of a host where test clients ended so.
func simulated(outcomes map[string]string) jsonout.Probed {
	address := jsonout.Address{Address: "192.0.2.1:25"}
	for id, outcome := range outcomes {
		run := jsonout.SenderRun{ID: id, Outcome: outcome, JA4: "t13d1516h2_aaaaaaaaaaaa_bbbbbbbbbbbb"}
		run.Version = "TLS 1.3"
		address.Senders = append(address.Senders, run)
	}
	return jsonout.Probed{Target: "mx.example.org", Hosts: []jsonout.Host{{Host: "mx.example.org", Addresses: []jsonout.Address{address}}}}
}

// sender stores a session of outlook.com.
func (s *site) sender(session string, outcome ledger.Outcome, diagnoses ...ledger.Diagnosis) {
	s.Helper()
	address := netip.MustParseAddr("192.0.2.7")
	s.book.AddHandshake(ledger.Handshake{
		Session: session, At: time.Now(), Address: address, Network: admission.Network(address), EHLO: "mail-a.outbound.protection.outlook.com",
		Fingerprint: "t13d1516h2_cccccccccccc_dddddddddddd", Outcome: outcome, Diagnoses: diagnoses, Stopped: "closed by the client",
	})
	s.flush()
}

// row returns the row of a test client.
func row(body, id string) string {
	_, rest, _ := strings.Cut(body, `<th scope="row">`+id+" ")
	row, _, _ := strings.Cut(rest, "</tr>")
	return row
}

func TestSimulationSaysWhereRealSendersDiffer(t *testing.T) {
	s := newSite(t)
	s.logIn()
	if _, body := s.get("/simulation"); !strings.Contains(body, "Not checked yet") {
		t.Errorf("without a check:\n%s", body)
	}
	s.check(ledger.HostCheck, "mx.example.org", probe.Critical, simulated(map[string]string{"early-ticket": "failed", "healthy-go": "completed"}))
	_, body := s.get("/simulation")
	if got := row(body, "early-ticket"); !strings.Contains(got, "✕ fails") || strings.Contains(got, "disagrees") {
		t.Errorf("before a sender came:\n%s", got)
	}
	if !strings.Contains(body, "none seen in 30 days") || !strings.Contains(row(body, "healthy-go"), "✓ delivers") || !strings.Contains(row(body, "tls12-only"), "? not tested") {
		t.Errorf("cells:\n%s", body)
	}
	s.sender("AAAAAAAAAA", ledger.Full)
	_, body = s.get("/simulation")
	if got := row(body, "early-ticket"); !strings.Contains(got, "the test client fails, the real ones deliver") {
		t.Errorf("a real sender delivers:\n%s", got)
	}
	s.check(ledger.HostCheck, "mx.example.org", probe.OK, simulated(map[string]string{"early-ticket": "completed"}))
	s.sender("BBBBBBBBBB", ledger.Failed, ledger.Diagnosis{Case: "early-ticket", Confidence: 1})
	_, body = s.get("/simulation")
	if got := row(body, "early-ticket"); !strings.Contains(got, "the test client delivers, real ones failed") || !strings.Contains(got, "1 failed as early-ticket") {
		t.Errorf("a real sender fails:\n%s", got)
	}
}

func TestCellLeadsToItsHandshake(t *testing.T) {
	s := newSite(t)
	s.logIn()
	s.check(ledger.HostCheck, "mx.example.org", probe.Critical, simulated(map[string]string{"early-ticket": "failed"}))
	_, body := s.get("/simulation")
	link := regexp.MustCompile(`href="(/simulation/[^"]+)"`).FindStringSubmatch(body)
	if link == nil {
		t.Fatalf("no link:\n%s", body)
	}
	if status, body := s.get(link[1]); status != http.StatusOK || !strings.Contains(body, "early-ticket at mx.example.org") {
		t.Errorf("%s: %d\n%s", link[1], status, body)
	}
	if status, _ := s.get("/simulation/mx.example.org/192.0.2.1:25/no-such"); status != http.StatusNotFound {
		t.Errorf("a run that was not made: %d", status)
	}
}

func TestDomainSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	s := newSite(t)
	s.logIn()
	const hostile = `<img src=x onerror=alert(1)>`
	until := time.Now().Add(5*time.Hour + 12*time.Minute)
	health := jsonout.DomainHealth{
		Domain: "example.org", Time: time.Now(), Severity: "critical",
		Areas: []jsonout.Area{{Area: "mx", Severity: "critical", Title: "no answer " + hostile}, {Area: "certificate", Severity: "ok"}},
		Probe: &jsonout.Probed{Findings: []jsonout.Finding{{ID: "unreachable", Severity: "critical", Title: "No answer", Evidence: []string{hostile}}}},
		DNS:   &jsonout.Zone{Domain: "example.org", Step: dnsrecords.Wait, Until: &until},
	}
	s.check(ledger.DomainCheck, "example.org", probe.Critical, health)
	_, list := s.get("/domains")
	if !strings.Contains(list, `<a href="/domains/example.org">`) || !strings.Contains(list, "✕ failed") || strings.Contains(list, "<img") {
		t.Errorf("the list:\n%s", list)
	}
	_, body := s.get("/domains/example.org")
	for _, want := range []string{"No answer", "5 h 12 min left", `<li aria-current="step"><strong>Wait`, "✓ Publish"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q:\n%s", want, body)
		}
	}
	if strings.Contains(body, "<img") {
		t.Errorf("markup of a stranger:\n%s", body)
	}
	if status, _ := s.get("/domains/other.example"); status != http.StatusNotFound {
		t.Errorf("a domain that was not checked: %d", status)
	}
}

func TestWaitOfARolloverEndsWithoutAnotherCheck(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	over := now.Add(-time.Minute)
	for step, want := range map[dnsrecords.Step]string{dnsrecords.Publish: "Publish", dnsrecords.Wait: "Switch", dnsrecords.Remove: "Remove", dnsrecords.None: ""} {
		got := ""
		for _, s := range stepsOf(jsonout.Zone{Step: step, Until: &over}, now) {
			if s.Current {
				got = s.Name
			}
		}
		if got != want {
			t.Errorf("%s: the current step is %q, want %q", step, got, want)
		}
	}
}

func TestOperatorStartsACheck(t *testing.T) {
	s := newSite(t)
	s.pages.Checks = selfcheck.New(selfcheck.Settings{Local: "127.0.0.1:2525", Why: "the server listens on this machine only"},
		probe.Prober{}, s.book, s.pages.Ledger, slog.New(slog.DiscardHandler))
	s.logIn()
	_, body := s.get("/simulation")
	if !strings.Contains(body, "No daily check: the server listens on this machine only") || !strings.Contains(body, "Check now") {
		t.Errorf("before:\n%s", body)
	}
	token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(body)[1]
	post := func(csrf string) int {
		response, err := s.PostForm(s.url+"/checks", url.Values{"csrf": {csrf}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if status := post("guessed"); status != http.StatusForbidden || !s.pages.Checks.Progress().Since.IsZero() {
		t.Errorf("the form of another page: %d", status)
	}
	if status := post(token); status != http.StatusOK || s.pages.Checks.Progress().Since.IsZero() {
		t.Errorf("the form: %d, %+v", status, s.pages.Checks.Progress())
	}
	if status := post(token); status != http.StatusConflict {
		t.Errorf("while a check runs: %d", status)
	}
}
