package demo

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/config"
	"postern/internal/delivery"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/status"
)

// A newcomer opens the link and finds each kind of thing that Postern knows, made by real
// handshakes, and the page goes on to change.
func TestDemoHasAllThatADashboardShows(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	folder := t.TempDir()
	running, ended := make(chan Demo, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Settings{Dashboard: "127.0.0.1:0", Folder: folder, Step: func(string) {}}, func(d Demo) { running <- d })
	}()
	var demo Demo
	select {
	case demo = <-running:
	case err := <-ended:
		t.Fatalf("the demo ended: %v", err)
	}

	r, err := read(t.Context(), config.LedgerFile(demo.Data))
	if err != nil {
		t.Fatal(err)
	}
	checkHistory(t, r)
	checkStatus(t, demo.Data)
	browser := logIn(t, demo.Login)
	browser.awaitChange("/", "certificate mx.demo.example ECDSA expired")
	browser.awaitChange("/simulation", "✓ delivers", "✕ fails", "failed as early-ticket")
	browser.awaitChange("/domains", domain, otherDomain, "! attention")

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the demo ended: %v", err)
	}
}

func checkHistory(t *testing.T, r *recording) {
	t.Helper()
	has := func(what string, found bool) {
		if !found {
			t.Errorf("the demo has no %s", what)
		}
	}
	handshake := func(is func(ledger.Handshake) bool) bool { return slices.ContainsFunc(r.handshakes, is) }
	failed := func(domain, named string) func(ledger.Handshake) bool {
		return func(h ledger.Handshake) bool {
			return strings.HasSuffix(h.EHLO, domain) && h.Outcome == ledger.Failed && h.Case() == named && len(h.Transcript) > 0
		}
	}
	has("sender that refuses the certificate", handshake(failed(bank, "certificate-refused")))
	has("sender that refuses an early ticket", handshake(failed(outlook, "early-ticket")))
	has("scanner", handshake(failed(scanner, ledger.Scanner)))
	has("plaintext after a failure", handshake(func(h ledger.Handshake) bool { return h.Outcome == ledger.Plaintext && h.After != "" }))
	has("resumption", handshake(func(h ledger.Handshake) bool { return h.Outcome == ledger.Resumed }))
	has("sender with a long history", handshake(func(h ledger.Handshake) bool { return time.Since(h.At) > 80*24*time.Hour }))
	has("failure of outlook.com in the last day", handshake(func(h ledger.Handshake) bool {
		return h.Outcome == ledger.Failed && h.Case() == "early-ticket" && time.Since(h.At) < 24*time.Hour
	}))
	has("handshake to compare failed ones with", handshake(func(h ledger.Handshake) bool { return h.Outcome == ledger.Full && len(h.Transcript) > 0 }))
	has("fallback", slices.ContainsFunc(r.decisions, func(d ledger.Decision) bool { return d.Kind == fallback.FellBack }))
	has("refused mail to relay", slices.ContainsFunc(r.refusals, func(x ledger.Refusal) bool { return x.To == "elsewhere.example" }))
	has("verified report of failures", slices.ContainsFunc(r.reports, func(x ledger.Report) bool { return x.Verified && x.Failed > 0 }))
	has("unverified report", slices.ContainsFunc(r.reports, func(x ledger.Report) bool { return !x.Verified }))
}

// checkStatus checks that the page says at once who cannot deliver. Alerts of the demo may follow.
func checkStatus(t *testing.T, data string) {
	t.Helper()
	book, err := ledger.OpenReader(config.LedgerFile(data))
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	now := time.Now()
	got, err := status.Read(t.Context(), book, ledger.Span{From: now.Add(-24 * time.Hour), To: now}, "in the last 24 hours", now)
	if err != nil {
		t.Fatal(err)
	}
	const want = "Every sender in the last 24 hours delivered, except 2 networks of bank.example, since "
	if !strings.HasPrefix(got.Sentence, want) || got.State != status.Failed {
		t.Errorf("the sentence is %q (%v)", got.Sentence, got.State)
	}
	if len(got.Cards) < 2 || !strings.Contains(got.Cards[1].Title, clinic) || got.Cards[1].Effect != delivery.InPlaintext {
		t.Errorf("the cards are %+v", got.Cards)
	}
}

// A browser has logged in to the dashboard.
type browser struct {
	t    *testing.T
	http http.Client
	home *url.URL
}

func logIn(t *testing.T, login string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, http: http.Client{Jar: jar}}
	if b.home, err = url.Parse(login); err != nil {
		t.Fatal(err)
	}
	b.get(b.home.RequestURI()).Close()
	return b
}

// get returns the body of a page.
func (b *browser) get(page string) io.ReadCloser {
	b.t.Helper()
	to, err := b.home.Parse(page)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := b.http.Get(to.String())
	if err != nil {
		b.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s", page, response.Status)
	}
	return response.Body
}

// awaitChange loads a page again whenever it is told that something is new, until it has some words.
func (b *browser) awaitChange(page string, words ...string) {
	b.t.Helper()
	live := b.get("/live")
	defer live.Close()
	for lines := bufio.NewScanner(live); lines.Scan(); {
		if lines.Text() != "event: changed" {
			continue
		}
		body := b.get(page)
		shown, err := io.ReadAll(body)
		body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(string(shown), word) }) {
			return
		}
	}
	b.t.Errorf("%s never has %q", page, words)
}

// Whenever the demo is started, its first page shows a host that changed, for half an hour at least,
// and a report of such a host is there.
func TestChangeIsInTheLastDay(t *testing.T) {
	midnight := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	for n := range time.Duration(90) { // from a second after midnight to a second before the next
		now := midnight.Add(time.Second + n*(24*time.Hour-2*time.Second)/89)
		shown, reported := 0, 0
		for i := range 3 {
			at := changeOf(now, i)
			if !at.Before(now) {
				t.Errorf("at %v host %d changed at %v", now, i, at)
			}
			if at.After(now.Add(30*time.Minute - 24*time.Hour)) {
				shown++
			}
			if at.Before(midnight) {
				reported++
			}
		}
		if shown == 0 || reported == 0 {
			t.Errorf("at %v %d hosts have changed in the last day, and %d are in a report", now, shown, reported)
		}
	}
}
