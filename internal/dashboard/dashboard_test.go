package dashboard

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
)

// A site is a dashboard over a ledger, with a browser.
type site struct {
	*testing.T
	*http.Client
	url   string
	pages *Dashboard
	book  *ledger.Ledger
	host  string // in its fleet; empty: it is alone
}

func newSite(t *testing.T) *site {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := ledger.Create(path); err != nil {
		t.Fatal(err)
	}
	pages := New(Settings{Hostname: "mx.example.org", Ledger: path, Key: NewKey(), Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { pages.Close() })
	server := httptest.NewServer(pages)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t, &http.Client{Jar: jar}, server.URL, pages, ledger.Open(path, ledger.Options{MaxAge: forever}), ""}
	t.Cleanup(func() { s.book.Close() })
	return s
}

// forever keeps what tests date back, in whatever year they run.
const forever = 100 * 365 * 24 * time.Hour

// flush stores what was added to the book, so that it can be read.
func (s *site) flush() {
	s.Helper()
	if err := s.book.Close(); err != nil {
		s.Fatal(err)
	}
	s.book = ledger.Open(s.pages.Ledger, ledger.Options{Host: s.host, MaxAge: forever})
}

// get returns the status and the body of a page, made now.
func (s *site) get(path string) (int, string) {
	s.Helper()
	s.pages.views.forget()
	return s.getShared(path)
}

// getShared returns the status and the body of a page, which may have been made a moment ago.
func (s *site) getShared(path string) (int, string) {
	s.Helper()
	response, err := s.Get(s.url + path)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func (s *site) logIn() {
	s.Helper()
	link := Login{s.url, s.pages.Key}.Link(time.Now())
	if status, body := s.get(strings.TrimPrefix(link, s.url)); status != http.StatusOK {
		s.Fatalf("login: %d\n%s", status, body)
	}
}

// fail stores a failed handshake.
func (s *site) fail(session, ehlo string) {
	s.Helper()
	address := netip.MustParseAddr("192.0.2.7")
	s.book.AddHandshake(ledger.Handshake{
		Session: session, At: time.Now(), Address: address, Network: admission.Network(address), EHLO: ehlo,
		Fingerprint: "t13d1516h2_8daaf6152771_02713d6af862", Outcome: ledger.Failed, Stopped: "closed by the client",
	})
	s.flush()
}

func TestEveryPageNeedsALogin(t *testing.T) {
	s := newSite(t)
	s.fail("AAAAAAAAAA", "mail.sender.example")
	for _, path := range []string{"/", "/handshakes", "/handshakes?format=json", "/handshakes/AAAAAAAAAA", "/live", "/no-such-page"} {
		if status, body := s.get(path); status != http.StatusUnauthorized || strings.Contains(body, "sender.example") {
			t.Errorf("%s without a login: %d\n%s", path, status, body)
		}
	}
	s.logIn()
	if status, body := s.get("/handshakes"); status != http.StatusOK || !strings.Contains(body, "mail.sender.example") {
		t.Errorf("/handshakes with a login: %d\n%s", status, body)
	}
}

func TestLoginLinkWorksOnce(t *testing.T) {
	s := newSite(t)
	link := strings.TrimPrefix(Login{s.url, s.pages.Key}.Link(time.Now()), s.url)
	if status, _ := s.get(link); status != http.StatusOK {
		t.Errorf("the first use: %d", status)
	}
	for name, link := range map[string]string{
		"the second use":        link,
		"an old link":           strings.TrimPrefix(Login{s.url, s.pages.Key}.Link(time.Now().Add(-linkTime)), s.url),
		"another server's link": strings.TrimPrefix(Login{s.url, NewKey()}.Link(time.Now()), s.url),
		"a changed link":        link[:len(link)-4] + "AAAA",
		"no link":               "/login?token=x",
	} {
		if status, _ := s.get(link); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func TestFormsOfOtherPagesDoNothing(t *testing.T) {
	s := newSite(t)
	s.logIn()
	for _, csrf := range []string{"", "guessed"} {
		response, err := s.PostForm(s.url+"/logout", url.Values{"csrf": {csrf}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("with token %q: %d", csrf, response.StatusCode)
		}
	}
	_, body := s.get("/")
	token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(body)
	if token == nil {
		t.Fatal("no token in the page")
	}
	response, err := s.PostForm(s.url+"/logout", url.Values{"csrf": {token[1]}})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if status, _ := s.get("/"); status != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", status)
	}
}

func TestTextOfStrangersIsText(t *testing.T) {
	s := newSite(t)
	s.logIn()
	const hostile = `<script>alert(1)</script>"'--><img src=x onerror=alert(2)>`
	s.fail("AAAAAAAAAA", hostile)
	for _, path := range []string{"/", "/handshakes", "/handshakes/AAAAAAAAAA", "/handshakes?sender=" + url.QueryEscape(hostile)} {
		_, body := s.get(path)
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") {
			t.Errorf("%s has markup of a sender:\n%s", path, body)
		}
	}
	response, err := s.Get(s.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if policy := response.Header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
}

// mark returns the mark of the ledger in a page.
func (s *site) mark(path string) string {
	s.Helper()
	_, body := s.get(path)
	found := regexp.MustCompile(`data-live="([^"]+)"`).FindStringSubmatch(body)
	if found == nil {
		s.Fatalf("%s is not live:\n%s", path, body)
	}
	return found[1]
}

// follow connects as a page with a mark does. What it returns waits for an event.
func (s *site) follow(mark string) (changed func()) {
	s.Helper()
	response, err := s.Get(s.url + "/live?since=" + mark)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { response.Body.Close() })
	events := bufio.NewScanner(response.Body)
	events.Scan() // it is listening
	return func() {
		s.Helper()
		for events.Scan() {
			if events.Text() == "event: changed" {
				return
			}
		}
		s.Fatalf("the connection ended: %v", events.Err())
	}
}

func TestOpenPageHearsOfAFailure(t *testing.T) {
	s := newSite(t)
	s.logIn()
	changed := s.follow(s.mark("/"))
	s.fail("AAAAAAAAAA", "mail.sender.example")
	changed()
	s.fail("BBBBBBBBBB", "mail.sender.example")
	changed()
}

func TestOpenPageHearsOfWhatFailedWhileItLoaded(t *testing.T) {
	s := newSite(t)
	s.logIn()
	mark := s.mark("/")
	s.fail("AAAAAAAAAA", "mail.sender.example")
	s.follow(mark)()
}
