package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/testcert"
	"postern/internal/testreport"
	"postern/internal/testsmtp"
	"postern/sessionticket/strictclient"
)

// October 2024, as an operator with the dashboard would have seen it. Hosts of a large sender that
// deliver every day get other software, and close when the session ticket comes early: the open
// page says so in words, by itself. They fall back, and deliver. The next day their TLS report
// comes; the time line has it beside the failures, and its page says what happened and what to do.
func TestOctober2024OnTheDashboard(t *testing.T) {
	browser := startBrowser(t)
	microsoft := testreport.NewSigner(t, "microsoft.com")
	pair := testcert.New(t, testcert.Options{Names: []string{"localhost"}, CA: testcert.NewCA(t), NotAfter: time.Now().AddDate(0, 3, 0)})
	config := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf("mode = \"stock\"\n[[certificate]]\ncert = %q\nkey = %q\n[reports]\naddresses = [\"tls-reports@example.org\"]\nresolver = %q\n",
		pair.CertFile, pair.KeyFile, testreport.Resolver(t, microsoft.KeyRecord("")))), 0o600); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	p := startDashboard(t, data, "--config", config, "--domain", "example.org")
	hosts := map[string]string{"127.0.1.1": "NAM12-BN8-obe.outbound.protection.outlook.com", "127.0.2.1": "EUR05-DB8-obe.outbound.protection.outlook.com"}
	for address, name := range hosts {
		attemptDelivery(t, p, name, address, overTLS)
	}
	b := openTab(t, browser)
	b.visit(p.loginLink())
	b.waitFor(sentenceIs("ok", "Every sender in the last 24 hours delivered."))
	eval[bool](b, "window.sameDocument = true")

	// The software changes, and its ClientHello with it.
	changed := testsmtp.OpportunisticTLS()
	changed.NextProtos = []string{"smtp"}
	attempt := func() (errs []error) {
		for address, name := range hosts {
			_, err := deliverStrictlyAs(name, address, p.addr, changed)
			errs = append(errs, err)
		}
		return errs
	}
	for _, err := range attempt() {
		if !errors.Is(err, strictclient.ErrEarlyTicket) {
			t.Fatalf("the first attempt in mode stock: %v", err)
		}
	}
	failedAt := loggedAt(t, p.await(0, "msg=session", "case=early-ticket"))
	logged := time.Now()
	b.waitFor("window.sameDocument && " + sentenceIs("bad", "except 2 networks of outlook.com, since "))
	t.Logf("the page says so %v after the log", time.Since(logged).Round(time.Millisecond))
	b.wants("2 networks of outlook.com", "cannot deliver", "early-ticket", "Wait for its next attempt, which Postern answers in mode own-write")

	// The next attempt delivers.
	for _, err := range attempt() {
		if err != nil {
			t.Fatalf("after the fallback: %v", err)
		}
	}
	b.waitFor("window.sameDocument && " + sentenceIs("ok", "Every sender in the last 24 hours delivered."))
	b.visit(b.page("/fallback"))
	b.wants("127.0.1.0/24", "127.0.2.0/24", "from stock to own-write")

	// The next day the report comes.
	act(b, chromedp.Navigate("about:blank")) // it would ask for more
	p.terminate()
	dayBefore(t, filepath.Join(data, "ledger.db"))
	p = startDashboard(t, data, "--config", config, "--domain", "example.org")
	yesterday := testreport.Report{Submitter: "microsoft.com", Domain: "example.org", ID: "1", Day: failedAt.AddDate(0, 0, -1), Successful: 2, Failed: 2}
	mail := testsmtp.Message{From: "tlsrpt@microsoft.com", To: []string{"tls-reports@example.org"}, Text: microsoft.Sign(t, yesterday.Mail())}
	if reply := p.deliver(t, mail); reply.Code != 250 {
		t.Fatalf("the report: %s", reply)
	}
	p.awaitReports(t, 1)
	b = openTab(t, browser)
	b.visit(p.loginLink())
	b.visit(b.page("/?last=7d"))
	day := yesterday.Day.Format(time.DateOnly)
	failed, reported := b.red("early-ticket"), b.red(day+": 1 verified report, 1 with failures: 2 of 4 sessions failed")
	if failed.Left < reported.Left || failed.Left > reported.Right { // where its three hours begin; after bars there is a gap
		t.Errorf("the failures are at %+v of the time line, their report is at %+v", failed, reported)
	}
	b.visit(b.page("/reports"))
	b.wants(day, "microsoft.com", "✓ verified", "! some failed")
	b.visit(eval[string](b, `document.querySelector("tbody th a").href`))
	b.wants("outlook.com", "2 sessions succeeded, 2 failed", "The failures match early-ticket (2×)", "This server recorded 2 failures of this kind, the report counts 2 failed sessions.")
}

// sentenceIs is true in the browser if the sentence has a color and a text.
func sentenceIs(class, text string) string {
	return fmt.Sprintf(`document.querySelector(".sentence.%s")?.innerText.includes(%q) === true`, class, text)
}

// page is the link to a page of the dashboard that the tab shows.
func (b *tab) page(path string) string {
	b.t.Helper()
	return eval[string](b, "location.origin") + path
}

// wants checks that the page has some texts.
func (b *tab) wants(texts ...string) {
	b.t.Helper()
	shown := strings.Join(strings.Fields(b.text()), " ")
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			b.t.Errorf("%s: no %q in\n%s", b.where(), text, shown)
		}
	}
}

// An extent is where something is on the time axis, in pixels.
type extent struct{ Left, Right float64 }

// red returns where the time line has a red bar with a title.
func (b *tab) red(title string) extent {
	b.t.Helper()
	found := eval[[]extent](b, fmt.Sprintf(`[...document.querySelectorAll(".timeline g")]
		.filter(bar => bar.querySelector("title")?.textContent.includes(%q))
		.flatMap(bar => [...bar.querySelectorAll(".bad, .failed0")].map(part => part.getBoundingClientRect()))
		.map(part => ({ Left: part.left, Right: part.right }))`, title))
	if len(found) == 0 {
		b.t.Fatalf("%s: no red bar of %q", b.where(), title)
	}
	return found[0]
}

// dayBefore makes a ledger in which all that it has happened a day earlier: for the server that
// starts on it, the clock has been turned on by a day.
func dayBefore(t *testing.T, path string) {
	t.Helper()
	old, err := ledger.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	handshakes, err := old.Handshakes(t.Context(), ledger.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	decisions, undecided := old.Decisions(t.Context(), ledger.Filter{Limit: 1000})
	states, unknown := old.States(t.Context())
	if err := errors.Join(undecided, unknown); err != nil {
		t.Fatal(err)
	}
	earlier := filepath.Join(t.TempDir(), "ledger.db")
	book := ledger.Open(earlier, ledger.Options{})
	for _, h := range slices.Backward(handshakes) {
		h, err := old.Handshake(t.Context(), h.Session) // with its transcript
		if err != nil {
			t.Fatal(err)
		}
		h.At, h.Delivered = h.At.AddDate(0, 0, -1), h.Outcome != ledger.Failed
		book.AddHandshake(h)
	}
	for _, d := range decisions {
		d.At = d.At.AddDate(0, 0, -1)
		book.AddDecisions([]fallback.Decision{d.Decision})
	}
	for i := range states {
		states[i].Since, states[i].Seen = states[i].Since.AddDate(0, 0, -1), states[i].Seen.AddDate(0, 0, -1)
	}
	book.AddStates(states)
	if err := errors.Join(old.Close(), book.Close(), os.Rename(earlier, path)); err != nil {
		t.Fatal(err)
	}
}
