package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/testsmtp"
)

// Every page of the dashboard is complete and usable on a phone and on a wide screen, dark and
// light, with and without JavaScript, and with a screen reader as far as axe can see. The
// pages are those that links lead to, so that a new one is tested too.
func TestEveryPageIsReadable(t *testing.T) {
	axe := readAxe(t)
	browser := startBrowser(t)
	p := startDashboard(t, t.TempDir(), "--mode", "stock")
	makeTraffic(t, p)
	inspect(t, browser, p, axe)
}

// startDashboard starts a postern with a dashboard.
func startDashboard(t *testing.T, data string, args ...string) *postern {
	t.Helper()
	return startWith(t, data, append([]string{"--dashboard", "127.0.0.1:0"}, args...)...)
}

// loginLink returns a link of postern dashboard.
func (p *postern) loginLink() string {
	p.t.Helper()
	out, status := runPostern(p.t, "dashboard", "--data", p.data)
	if status != 0 {
		p.t.Fatalf("postern dashboard: %s", out)
	}
	return strings.TrimSpace(out)
}

// makeTraffic makes what pages are about: a sender that fails, and delivers after fallback;
// one that resumes; one that delivers in plaintext after a failure; a refused recipient.
func makeTraffic(t *testing.T, p *postern) {
	t.Helper()
	config := testsmtp.OpportunisticTLS()
	p.meetEarlyTicket(config)
	for range 2 {
		if _, err := deliverStrictly(p.addr, config); err != nil {
			t.Fatalf("after the failure: %v", err)
		}
	}
	attemptDelivery(t, p, "gives-up.test", "127.0.0.3", rejectsCertificate)
	attemptDelivery(t, p, "gives-up.test", "127.0.0.3", inPlaintext)
	c, err := testsmtp.Dial(p.addr, "127.0.0.4")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := newMessage("refused", 0)
	m.To = []string{"someone@elsewhere.test"}
	if err := c.StartTLS(config); err != nil {
		t.Fatal(err)
	}
	if reply, err := c.Deliver(m); err != nil || reply.Code < 500 {
		t.Fatalf("a message to another domain: %v, %v", reply, err)
	}
	c.Close()
	report := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(report, []byte(october.JSON()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status := runPostern(t, "report", "add", "--data", p.data, report); status != 0 {
		t.Fatalf("postern report add: %s", out)
	}
	// From now on the pages stay as they are.
	eventually(t, func() error {
		return errors.Join(checkOutput(t, "gives-up.test", "senders", "--returned", "--data", p.data),
			checkOutput(t, "127.0.0.4", "handshakes", "--sender", "127.0.0.4", "--data", p.data))
	})
}

// inspect opens all pages and checks each.
func inspect(t *testing.T, browser context.Context, p *postern, axe string) {
	t.Helper()
	link := p.loginLink()
	b := openTab(t, browser)
	b.expected = 401
	b.show(looks[0])
	home, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	home.Path, home.RawQuery = "/", ""
	b.visit(home.String()) // the page that says how to log in
	b.checkEverywhere(axe)
	b.expected = 0
	openTab(t, browser).visit(p.loginLink()) // another person
	b.visit(link)
	plain := b.another()
	plain.withoutJavaScript()
	pages := newPages(t, eval[string](b, "location.href"))
	for i := 0; i < len(pages.found); i++ { // each leads to more
		page := pages.found[i]
		b.show(looks[0])
		b.visit(page)
		b.checkLoading()
		pages.add(eval[[]string](b, `[...document.querySelectorAll("a[href]:not([download])")].map(a => a.href)`))
		b.checkEverywhere(axe)
		with := eval[[]string](b, wordsOfPage)

		plain.show(looks[0])
		plain.visit(page)
		if without := eval[[]string](plain, wordsOfPage); !slices.Equal(with, without) {
			t.Errorf("%s: the text with JavaScript is not that without:\n%q\n%q", page, with, without)
		}
		plain.checkLayout(looks[0])
		plain.show(looks[3])
		plain.checkLayout(looks[3]) // the scheme changes no layout
	}
	t.Logf("%d pages: %s", len(pages.found), pages.found)
}

// wordsOfPage are the words of the content, without numbers and units, since time goes on.
// Buttons that need JavaScript are made by it, and are not part of a form.
const wordsOfPage = `(() => {
	const main = document.querySelector("main").cloneNode(true);
	main.querySelectorAll("button[type=button]").forEach(button => button.remove());
	return main.textContent.replace(/\d+( (second|minute|hour|day)s?)?/g, "#").split(/\s+/).filter(word => word);
})()`

// maxPages bounds the pages of a test. A dashboard that needs more has links without end.
const maxPages = 80

// pages are those that links of pages lead to: of those of one shape, such as the handshakes, the
// first one.
type pages struct {
	t     *testing.T
	host  string
	seen  map[string]bool // by shape
	found []string
}

func newPages(t *testing.T, first string) *pages {
	t.Helper()
	at, err := url.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	p := &pages{t: t, host: at.Host, seen: make(map[string]bool)}
	p.add([]string{first})
	return p
}

// add adds the pages that links lead to.
func (p *pages) add(links []string) {
	p.t.Helper()
	for _, link := range links {
		to, err := url.Parse(link)
		if err != nil || to.Host != p.host { // a case's source; the browser goes there only if somebody clicks
			continue
		}
		to.Fragment = ""
		shape := shapeOf(to)
		if p.seen[shape] || to.Query().Has("format") {
			continue
		}
		if p.seen[shape] = true; len(p.found) == maxPages {
			p.t.Fatalf("more than %d pages: %s", maxPages, p.found)
		}
		p.found = append(p.found, to.String())
	}
}

// identifier matches a part of a path that is one of many: a session, a number, a network.
var identifier = regexp.MustCompile(`[0-9A-Z%.:]`)

// shapeOf is what links to pages of one kind have in common, whatever time they are about.
func shapeOf(link *url.URL) string {
	parts := strings.Split(link.EscapedPath(), "/")
	for i, part := range parts {
		if identifier.MatchString(part) {
			parts[i] = "*"
		}
	}
	query := link.Query()
	for _, name := range []string{"last", "from", "to"} {
		query.Del(name)
	}
	return strings.Join(parts, "/") + "?" + strings.Join(slices.Sorted(maps.Keys(query)), "&")
}

// checkLoading checks how the page was loaded: it is small, and does not move while it loads.
func (b *tab) checkLoading() {
	b.t.Helper()
	b.mu.Lock()
	received := b.received
	b.mu.Unlock()
	if received > 150_000 {
		b.t.Errorf("%s: %d bytes with everything, want 150 KB at most", b.where(), received)
	}
	if shift := eval[float64](b, `new Promise(done => {
		new PerformanceObserver(list => done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
			.observe({ type: "layout-shift", buffered: true });
		requestAnimationFrame(() => requestAnimationFrame(() => done(0)));
	})`); shift > 0 {
		b.t.Errorf("%s: the layout shifted by %v", b.where(), shift)
	}
}

// checkEverywhere checks the page in all looks: by axe, which takes long, as a phone in the dark,
// and for its colours in the light too.
func (b *tab) checkEverywhere(axe string) {
	b.t.Helper()
	for _, l := range looks {
		b.show(l)
		b.checkLayout(l)
		switch l {
		case look{390, true}:
			b.checkAccess(l, axe, "{}")
		case look{1280, false}:
			b.checkAccess(l, axe, `{ runOnly: ["color-contrast"] }`)
		}
	}
}

// checkLayout checks that the page fits its width, and that drawings have a text.
func (b *tab) checkLayout(l look) {
	b.t.Helper()
	if wide := eval[[]string](b, `(() => {
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= width && innerWidth <= `+fmt.Sprint(l.width)+`) return [];
		const outside = [...document.body.querySelectorAll("*")].filter(e => !e.closest(".scroll") && (e.getBoundingClientRect().right > width + 1 || e.scrollWidth > width));
		return ["scrolls sideways", ...outside.map(e => e.outerHTML.slice(0, 150))].slice(0, 6);
	})()`); len(wide) > 0 {
		b.t.Errorf("%s, %v: %s", b.where(), l, strings.Join(wide, "\n\t"))
	}
	if mute := eval[[]string](b, `[...document.querySelectorAll("svg:not(svg svg)")]
		.filter(e => !e.closest("[aria-hidden=true]") && !(e.getAttribute("role") === "img" && e.getAttribute("aria-label")))
		.map(e => e.outerHTML.slice(0, 150))`); len(mute) > 0 {
		b.t.Errorf("%s: drawings without a text: %s", b.where(), strings.Join(mute, "\n\t"))
	}
}

// checkAccess checks the page by axe's rules, with options in JavaScript.
func (b *tab) checkAccess(l look, axe, options string) {
	b.t.Helper()
	if !eval[bool](b, "!!window.axe") {
		eval[bool](b, axe+"\n;true")
	}
	for _, violation := range eval[[]string](b, `axe.run(document, { resultTypes: ["violations"], ...`+options+` }).then(result =>
		result.violations.flatMap(v => v.nodes.slice(0, 3).map(n => v.id + ": " + n.failureSummary + "\n\t" + n.html.slice(0, 200))))`) {
		b.t.Errorf("%s, %v: axe: %s", b.where(), l, violation)
	}
}

// readAxe returns the source of axe-core, which checks the accessibility of a page.
func readAxe(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("../.cache/axe-core/axe.min.js")
	if err != nil {
		unavailable(t, "axe-core is not installed: run scripts/install-peers")
	}
	return string(source)
}

// A failing handshake is on a page that is open, without its being loaded again.
func TestFailureAppearsOnTheOpenPage(t *testing.T) {
	browser := startBrowser(t)
	p := startDashboard(t, t.TempDir(), "--mode", "stock")
	if reply := p.deliver(t, newMessage("before", 0)); reply.Code != 250 { // the ledger exists
		t.Fatal(reply)
	}
	b := openTab(t, browser)
	b.visit(p.loginLink())
	b.visit(eval[string](b, "location.origin") + "/handshakes?failed=1")
	eval[bool](b, "window.sameDocument = true")
	p.meetEarlyTicket(testsmtp.OpportunisticTLS())
	logged := time.Now()
	b.waitFor(`window.sameDocument && document.querySelector("main").innerText.includes("early-ticket")`)
	t.Logf("the page shows the failure %v after the log", time.Since(logged).Round(time.Millisecond))
}
