package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// An operator logs in from elsewhere, over the web listener's HTTPS, with the password that
// postern dashboard made, and is led to the page that they had asked for.
func TestPasswordLoginOverHTTPS(t *testing.T) {
	axe, browser := readAxe(t), startBrowser(t)
	made, status := runPostern(t, "dashboard", "--user", "anna", "--role", "operator")
	parts := regexp.MustCompile(`password: (\S+)\nuser: +(".*")`).FindStringSubmatch(made)
	if status != 0 || parts == nil {
		t.Fatalf("postern dashboard --user: %s", made)
	}
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf(
		"[web]\nlisten = [\"127.0.0.1:%s\"]\n[dashboard]\nhost = \"localhost\"\nusers = [%s]\n", port, parts[2])), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", config) // with --dashboard off: only over HTTPS
	if reply := p.deliver(t, newMessage("before", 0)); reply.Code != 250 {
		t.Fatal(reply)
	}
	b := openTab(t, browser)
	b.trustCertificates()
	b.expected = 401
	b.visit("https://localhost:" + port + "/handshakes?last=7d")
	b.checkEverywhere(axe)
	if link := p.loginLink(); !strings.HasPrefix(link, "https://localhost:"+port+"/login?token=") {
		t.Errorf("postern dashboard prints %s", link)
	}
	logIn := func(password string) {
		act(b, chromedp.SendKeys(chromedp.CSS("[name=name]"), "anna"))
		act(b, chromedp.SendKeys(chromedp.CSS("[name=password]"), password+"\r"))
	}
	logIn("wrong")
	b.waitFor(`document.querySelector("[role=alert]")?.innerText === "The name or the password is wrong."`)
	logIn(parts[1])
	b.waitFor(`location.pathname + location.search === "/handshakes?last=7d" && document.querySelector("h1").innerText === "Handshakes"`)
	p.await(0, `msg="dashboard login" client=127.0.0.1 user=anna role=operator`)
	if cookies := eval[string](b, "document.cookie"); cookies != "" {
		t.Errorf("scripts can read the cookie: %s", cookies)
	}
	b.expected = 0
	b.on(".logout button", "click()")
	b.waitFor(`location.pathname === "/login" && !!document.querySelector("[name=password]")`)
}
