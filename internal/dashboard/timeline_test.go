package dashboard

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
)

// session stores a session of a sender.
func (s *site) session(at time.Time, outcome ledger.Outcome, found string) {
	address := netip.MustParseAddr("192.0.2.7")
	h := ledger.Handshake{Session: fmt.Sprint(at.UnixNano()), At: at, Address: address, Network: admission.Network(address), EHLO: "mail.sender.example", Outcome: outcome}
	if outcome == ledger.Failed {
		h.Fingerprint, h.Diagnoses = "t13", []ledger.Diagnosis{{Case: found, Confidence: .9}}
	}
	s.book.AddHandshake(h)
}

// link is the path of the first page for a span.
func link(from, to time.Time) string {
	return "/?" + url.Values{"from": {from.Format(time.RFC3339)}, "to": {to.Format(time.RFC3339)}}.Encode()
}

var day0 = time.Date(2026, 10, 14, 0, 0, 0, 0, time.UTC)

func TestTimelineShowsWhatHappened(t *testing.T) {
	s := newSite(t)
	s.logIn()
	at := day0.Add(9*time.Hour + 12*time.Minute)
	for i := range 1000 {
		s.session(at.Add(time.Duration(i)*time.Millisecond), ledger.Resumed, "")
	}
	s.session(at, ledger.Failed, "early-ticket")
	s.session(at, ledger.Plaintext, "")
	for range 5 {
		s.session(at.Add(time.Hour), ledger.Failed, ledger.Scanner)
	}
	s.book.AddRefusal(ledger.Refusal{Last: at, Network: netip.MustParsePrefix("192.0.2.0/24"), Reply: "450 later", Count: 3})
	s.book.AddEvent(ledger.Event{At: at, Kind: ledger.CertificateChanged, Subject: "mx.pem", Text: "<b>mx.example.org"})
	for _, verified := range []bool{true, false} {
		if _, err := s.book.AddReport(t.Context(), ledger.Report{
			At: day0.Add(26 * time.Hour), Verified: verified, Start: day0, End: day0.Add(24*time.Hour - time.Second),
			Successful: 5, Failed: 7, Content: fmt.Appendf(nil, "%v", verified),
		}); err != nil {
			t.Fatal(err)
		}
	}
	s.flush()
	_, body := s.get(link(day0, day0.Add(24*time.Hour)))
	for what, want := range map[string]string{
		"the sessions of a period":         `<title>10-14 09:00 to 10-14 09:30: 0 full, 1000 resumed, 1 plaintext, 1 failed</title>`,
		"the failed ones by case":          `<title>10-14 09:00 to 10-14 09:30: early-ticket 1</title>`,
		"the refused commands":             `3 deferred (4xx), 0 refused (5xx)</title>`,
		"verified reports, of all the day": `<title>2026-10-14: 1 verified report, 1 with failures: 7 of 12 sessions failed</title><rect class="bad" x="0.00%" y="232" width="99.75%" height="18"/>`,
		"unverified ones, hatched":         `<title>2026-10-14: 1 unverified report, 1 with failures: 7 of 12 sessions failed</title><rect fill="url(#hatch-bad)"`,
		"a change, as text":                `certificate mx.pem &lt;b&gt;mx.example.org</li>`,
		"its marker":                       `<title>2026-10-14 09:12 UTC: certificate mx.pem`,
		"scanners, which are not drawn":    `Not drawn: 5 failed handshakes of scanners.`,
		"the same in a sentence":           `aria-label="Sessions: 0 full, 1000 resumed, 1 plaintext, 1 failed (early-ticket 1). 1 verified TLS reports, 1 with failed sessions; 1 unverified ones`,
		"and in a table":                   `<td>0<td>1000<td>1<td>1<td>early-ticket 1<td>3<td>0`,
		"a failure among 1000 can be seen": `<rect class="bad" x="37.50%" y="107" width="1.83%" height="3"/>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s: no %s in\n%s", what, want, body)
		}
	}
	if strings.Contains(body, "10-14 10:00 to") {
		t.Errorf("scanners are drawn:\n%s", body)
	}
}

func TestTimeWithoutDataIsNotGreen(t *testing.T) {
	s := newSite(t)
	s.logIn()
	s.flush()
	_, body := s.get(link(day0, day0.Add(24*time.Hour)))
	if !strings.Contains(body, "Nothing happened in") || strings.Contains(body, "<rect") {
		t.Errorf("%s", body)
	}
	s.book.AddEvent(ledger.Event{At: day0, Kind: ledger.Reloaded})
	s.flush()
	_, body = s.get(link(day0, day0.Add(24*time.Hour)))
	for _, want := range []string{`aria-label="No sessions. No TLS reports. No refused commands."`, ">Sessions: none<", ">Failed handshakes: none<", ">Refused commands: none<"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if lanes := body[strings.Index(body, `class="lanes"`):]; strings.Contains(lanes, "<rect class=\"good\" x=") {
		t.Errorf("a green bar without data:\n%s", lanes)
	}
}

// Whatever a link asks for, the page stays small, and the bars within their lanes.
func TestTimelineOfAnySpanIsBounded(t *testing.T) {
	s := newSite(t)
	s.logIn()
	end := day0.Add(90 * 24 * time.Hour)
	step := 30 * time.Minute
	for at := day0; at.Before(end); at = at.Add(step) {
		if at.Sub(day0) >= 8*24*time.Hour {
			step = 24 * time.Hour // enough for the longer spans
		}
		for i := range 16 { // more cases than are drawn
			s.session(at.Add(time.Duration(i)*time.Millisecond), ledger.Failed, fmt.Sprint("a-case-with-a-long-name-", i))
		}
		s.session(at, ledger.Full, "")
		if at.Truncate(6 * time.Hour).Equal(at) {
			s.flush() // a slow disk would not keep up with all of them at once
		}
	}
	s.flush()
	bar := regexp.MustCompile(`<title>[0-9-]+( [0-9:]+ to [0-9-]+ [0-9:]+)?: `)
	places := regexp.MustCompile(` x="([0-9.]+)%" y="([0-9.]+)" width="([0-9.]+)%" height="([0-9.]+)"`)
	for _, span := range []struct {
		from time.Time
		long time.Duration
		bars int // sessions and failures
	}{
		{day0, time.Hour, 4},
		{day0, 24 * time.Hour, 96},
		{day0, 7 * 24 * time.Hour, 2 * 56},
		{day0.Add(12345 * time.Second), 7 * 24 * time.Hour, 2 * 57},
		{day0, 90 * 24 * time.Hour, 2 * 90},
		{day0.Add(-600 * 24 * time.Hour), 699 * 24 * time.Hour, 2 * 14},
		{time.Time{}, 290 * 366 * 24 * time.Hour, -1},
		{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), 1 << 62, -1},
		{time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC), 366 * 24 * time.Hour, 0},
	} {
		path := link(span.from, span.from.Add(span.long))
		status, body := s.get(path)
		if n := len(bar.FindAllString(body, -1)); status != http.StatusOK || span.bars >= 0 && n != span.bars || n > 2*maxBars+4 || len(body) > 150<<10 {
			t.Errorf("%s: status %d, %d bars, want %d; %d bytes", path, status, n, span.bars, len(body))
		}
		for _, place := range places.FindAllStringSubmatch(body, -1) {
			var x, y, w, h float64
			if _, err := fmt.Sscan(strings.Join(place[1:], " "), &x, &y, &w, &h); err != nil {
				t.Fatal(err)
			}
			if x+w > 100.1 || y < sessionsTop || y+h > refusalsTop+refusalsHeight {
				t.Errorf("%s: a bar is outside:%s", path, place[0])
			}
		}
	}
	status, body := s.get("/?from=0001-01-01T00:00:00Z&to=9999-12-31T00:00:00Z")
	if n := len(bar.FindAllString(body, -1)); status != http.StatusOK || n > 2*maxBars+4 {
		t.Errorf("for all times: status %d, %d bars", status, n)
	}
	status, body = s.get(link(day0, day0.Add(24*time.Hour)) + "&format=json")
	if status != http.StatusOK || !strings.Contains(body, `"seconds":1800`) || strings.Count(body, `"start"`) != 48 {
		t.Errorf("JSON: %d\n%s", status, body)
	}
}
