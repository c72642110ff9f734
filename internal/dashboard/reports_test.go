package dashboard

import (
	"bytes"
	"encoding/json"
	"html"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/tlsrpt"
)

// report stores the report of a file in tlsrpt/testdata, as if it were about yesterday.
func (s *site) report(file string, verified bool) int64 {
	s.Helper()
	content, err := os.ReadFile("../../tlsrpt/testdata/" + file)
	if err != nil {
		s.Fatal(err)
	}
	parsed, err := tlsrpt.Parse(bytes.NewReader(content))
	if err != nil {
		s.Fatal(err)
	}
	r := ledger.Report{
		At: time.Now(), Via: ledger.ByMail, Verified: verified, Verdict: "the signature of sender.example is missing",
		Submitter: "sender.example", Organization: parsed.Organization, ReportID: parsed.ID, Content: content,
		Start: time.Now().Add(-30 * time.Hour), End: time.Now().Add(-6 * time.Hour),
	}
	for _, p := range parsed.Policies {
		r.Domains = append(r.Domains, p.Policy.Domain)
		r.Successful, r.Failed = r.Successful+p.Successful, r.Failed+p.FailedSessions()
	}
	added, err := s.book.AddReport(s.Context(), r)
	if err != nil {
		s.Fatal(err)
	}
	return added.ID
}

func TestReportsSayWhoReportedWhatAndWhetherItIsGenuine(t *testing.T) {
	s := newSite(t)
	s.logIn()
	if _, body := s.get("/reports"); !strings.Contains(body, "No reports in the last 7 days") {
		t.Errorf("without reports:\n%s", body)
	}
	s.report("microsoft_october_2024.json", true)
	_, body := s.get("/reports")
	for _, want := range []string{`<a href="/reports/1">1</a>`, "sender.example", "✓ verified"} {
		if !strings.Contains(body, want) {
			t.Errorf("the list lacks %s:\n%s", want, body)
		}
	}
	_, body = s.get("/reports/1")
	for _, want := range []string{"What to do", "What this server saw in the same hours", "✓ verified"} {
		if !strings.Contains(body, want) {
			t.Errorf("the report lacks %s:\n%s", want, body)
		}
	}
	if strings.Contains(body, "Anybody may have written") {
		t.Error("a verified report is called unverified")
	}
	s.report("google_validation_failure.json", false)
	if _, body := s.get("/reports/2"); !strings.Contains(body, "? unverified") || !strings.Contains(body, "Anybody may have written") {
		t.Errorf("an unverified report looks verified:\n%s", body)
	}
	if _, body := s.get("/reports?verified=1"); !strings.Contains(body, "/reports/1") || strings.Contains(body, "/reports/2") {
		t.Errorf("only verified ones:\n%s", body)
	}
}

func TestReportHasAJSONTwin(t *testing.T) {
	s := newSite(t)
	s.logIn()
	s.report("microsoft_october_2024.json", true)
	for path, field := range map[string]string{"/reports?format=json": "submitter", "/reports/1?format=json": "cause"} {
		_, body := s.get(path)
		var object map[string]any
		if err := json.Unmarshal([]byte(body), &object); err != nil || object[field] == "" {
			t.Errorf("%s: %v\n%s", path, err, body)
		}
	}
}

func TestTextOfReportsIsText(t *testing.T) {
	s := newSite(t)
	s.logIn()
	s.report("control_characters.json", false)
	const hostile = `<img src=x onerror=alert(1)>`
	content, err := json.Marshal(map[string]any{
		"organization-name": hostile, "report-id": hostile, "contact-info": hostile,
		"date-range": map[string]any{"start-datetime": time.Now().Add(-30 * time.Hour), "end-datetime": time.Now()},
		"policies": []any{map[string]any{
			"policy":  map[string]any{"policy-type": hostile, "policy-domain": hostile},
			"summary": map[string]any{"total-failure-session-count": 3},
			"failure-details": []any{map[string]any{
				"result-type": hostile, "failure-reason-code": hostile, "additional-information": "javascript:alert(1)", "failed-session-count": 3,
			}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.book.AddReport(t.Context(), ledger.Report{
		At: time.Now(), Via: ledger.ByHTTPS, Verdict: hostile, Organization: hostile, ReportID: hostile, Domains: []string{hostile}, Failed: 3, Content: content,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/reports", "/reports/1", "/reports/2", "/reports?submitter=" + hostile} {
		status, body := s.get(strings.ReplaceAll(path, " ", "+"))
		if status != http.StatusOK || strings.Contains(body, "<img") || strings.Contains(body, `href="javascript`) {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
		for _, hidden := range []string{"\x1b", "\u202e", "\x00"} {
			if strings.Contains(html.UnescapeString(body), hidden) {
				t.Errorf("%s has %q:\n%s", path, hidden, body)
			}
		}
	}
	for path, want := range map[string]int{"/reports/3": http.StatusNotFound, "/reports/x": http.StatusNotFound} {
		if status, _ := s.get(path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
}
