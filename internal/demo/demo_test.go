package demo

import (
	"bufio"
	"context"
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
	waitForChange(t, demo.Login)

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
			return strings.HasSuffix(h.EHLO, domain) && h.Outcome == ledger.Failed && h.Diagnoses[0].Case == named && len(h.Transcript) > 0
		}
	}
	has("sender that refuses the certificate", handshake(failed(bank, "certificate-refused")))
	has("sender that refuses an early ticket", handshake(failed(outlook, "early-ticket")))
	has("scanner", handshake(failed(scanner, ledger.Scanner)))
	has("plaintext after a failure", handshake(func(h ledger.Handshake) bool { return h.Outcome == ledger.Plaintext && h.After != "" }))
	has("resumption", handshake(func(h ledger.Handshake) bool { return h.Outcome == ledger.Resumed }))
	has("sender with a long history", handshake(func(h ledger.Handshake) bool { return time.Since(h.At) > 80*24*time.Hour }))
	has("fallback", slices.ContainsFunc(r.decisions, func(d fallback.Decision) bool { return d.Kind == fallback.FellBack }))
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
	const want = "Everyone who came in the last 24 hours delivered, except 2 networks of bank.example, since "
	if !strings.HasPrefix(got.Sentence, want) || got.State != status.Failed {
		t.Errorf("the sentence is %q (%v)", got.Sentence, got.State)
	}
	if len(got.Cards) < 2 || !strings.Contains(got.Cards[1].Title, clinic) || got.Cards[1].Effect != delivery.InPlaintext {
		t.Errorf("the cards are %+v", got.Cards)
	}
}

// waitForChange logs in and waits until an open page is told that something is new.
func waitForChange(t *testing.T, login string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Jar: jar}
	page, err := client.Get(login)
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	if page.StatusCode != http.StatusOK {
		t.Fatalf("the login link leads to %s", page.Status)
	}
	at, err := url.Parse(login)
	if err != nil {
		t.Fatal(err)
	}
	live, err := client.Get(at.ResolveReference(&url.URL{Path: "/live"}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Body.Close()
	for lines := bufio.NewScanner(live.Body); lines.Scan(); {
		if lines.Text() == "event: changed" {
			return
		}
	}
	t.Error("the page does not change")
}
