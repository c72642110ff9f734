package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The page Fleet of any host, and postern fleet, show all hosts: those that share, one that was
// stopped, and one that has another secret, which sees itself alone. The page is as readable as the
// others, and an open one follows.
func TestAnyHostShowsTheFleet(t *testing.T) {
	axe := readAxe(t)
	browser := startBrowser(t)
	f := startFleet(t, 1, 3, "--dashboard", "127.0.0.1:0")
	for _, p := range f.hosts {
		eventually(t, func() error {
			return checkOutput(t, "mx2 ", "fleet", "--data", p.data)
		})
	}
	b := openTab(t, browser)
	b.visit(f.hosts[0].loginLink())
	b.visit(eval[string](b, "location.origin") + "/fleet")
	b.waitFor(`document.querySelector("main").innerText.includes("All hosts of the fleet share: 3.")`)

	eval[bool](b, "window.sameDocument = true")
	f.hosts[2].terminate()
	b.waitFor(`window.sameDocument && document.querySelector("main").innerText.includes("2 of 3 hosts of the fleet share; stopped: 1.")`)

	forget := func(host string) (string, int) {
		return runPostern(t, "fleet", "forget", host, "--data", f.hosts[0].data, "--config", f.configure("mx0", f.secret, []string{f.nats[0].URL}))
	}
	if out, status := forget("mx1"); status != 1 || !strings.Contains(out, "mx1 is there") {
		t.Errorf("exit status %d, want 1, since mx1 shares: %s", status, out)
	}
	if out, status := forget("mx2"); status != 0 {
		t.Error(out)
	}
	b.waitFor(`window.sameDocument && document.querySelector("main").innerText.includes("All hosts of the fleet share: 2.")`)

	other := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(other, []byte(strings.Repeat("f", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := f.startHost("mx9", t.TempDir(), other)
	b.waitFor(`document.querySelector("main").innerText.includes("Give all hosts the same secret-file")`)
	b.visit(eval[string](b, "location.href"))
	b.checkLoading()
	b.checkEverywhere(axe)
	b.visit(eval[string](b, "location.origin") + "/")
	b.waitFor(`document.querySelector("main").innerText.includes("mx9 has another secret")`)
	for of, lines := range map[*postern][]string{
		f.hosts[1]: {"mx0 ", "mx1 (this host) ", "mx9 ", "What mx9 says of itself was not written with this secret-file."},
		stranger:   {"mx0 ", "has another secret", "mx9 (this host) ", "does not share", "mx9 goes on alone: ticket keys: the stored ring was not written"},
	} {
		eventually(t, func() error {
			out, status := runPostern(t, "fleet", "--data", of.data)
			for _, line := range lines {
				if status != 1 || !strings.Contains(out, line) {
					return fmt.Errorf("exit status %d, want 1, and %q in\n%s", status, line, out)
				}
			}
			return nil
		})
	}
	out, _ := runPostern(t, "status", "--data", f.hosts[1].data)
	if want := "mx9 has another secret"; !strings.Contains(out, want) {
		t.Errorf("postern status: no %q in\n%s", want, out)
	}
}

// The page of a third host shows that a sender fails at one host and delivers at another, and an open
// page follows.
func TestAnyHostShowsWhereASenderFails(t *testing.T) {
	axe := readAxe(t)
	browser := startBrowser(t)
	f := startFleet(t, 1, 3, "--mode", "stock", "--dashboard", "127.0.0.1:0")
	f.hosts[0].meetEarlyTicket(visits())
	f.awaitOutcomes(f.hosts[2:], "failed at mx0")
	b := openTab(t, browser)
	b.visit(f.hosts[2].loginLink())
	origin := eval[string](b, "location.origin")
	b.visit(origin + "/handshakes")
	eval[bool](b, "window.sameDocument = true")
	f.awaitMode(1, 0, "own-write")
	if _, err := deliverStrictly(f.hosts[1].addr, visits()); err != nil {
		t.Fatal(err)
	}
	b.waitFor(`window.sameDocument && document.querySelectorAll("tbody tr").length == 2`)
	if hosts := eval[[]string](b, `[...document.querySelectorAll("tbody tr td:nth-child(2)")].map(e => e.innerText)`); !slices.Equal(hosts, []string{"mx1", "mx0"}) {
		t.Errorf("the hosts of two handshakes: %q", hosts)
	}
	b.checkEverywhere(axe)

	b.on("form.filter", `elements.host.value = "mx1"; e.requestSubmit()`)
	b.waitFor(`location.search.includes("host=mx1") && document.querySelectorAll("tbody tr").length == 1`)
	for _, page := range []string{"/", "/senders/127.0.0.0/24"} {
		b.visit(origin + page)
		b.checkEverywhere(axe)
	}
	for _, text := range []string{"strict.test, at mx0", "fails here", "delivers at mx1", "strict.test, at mx1"} {
		if !strings.Contains(b.text(), text) {
			t.Errorf("no %q on the sender's page:\n%s", text, b.text())
		}
	}
	if out, _ := runPostern(t, "status", "--data", f.hosts[2].data); !strings.Contains(out, "Every sender in the last 24 hours delivered.") {
		t.Errorf("postern status at mx2:\n%s", out)
	}
}
