package dashboard

import (
	"bytes"
	"crypto/tls"
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

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/password"
)

// An entrance is a dashboard that is asked without a network.
type entrance struct {
	*testing.T
	*Dashboard
	log      bytes.Buffer
	password string // of the operator anna and the viewer bert
}

func newEntrance(t *testing.T, access config.Dashboard) *entrance {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := ledger.Create(path); err != nil {
		t.Fatal(err)
	}
	e := &entrance{T: t}
	word, hash := password.New()
	e.password = word
	access.Users = []config.User{{Name: "anna", Operator: true, Password: hash}, {Name: "bert", Password: hash}}
	e.Dashboard = New(Settings{
		Hostname: "mx.example.org", Ledger: path, Key: NewKey(), Access: access, Log: slog.New(slog.NewTextHandler(&e.log, nil)),
	})
	t.Cleanup(func() { e.Close() })
	return e
}

// ask sends a request, from this machine unless change says otherwise.
func (e *entrance) ask(method, path string, form url.Values, change func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.RemoteAddr, r.Host, r.TLS = "127.0.0.1:4711", "127.0.0.1:8025", nil
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(r)
	}
	answer := httptest.NewRecorder()
	e.ServeHTTP(answer, r)
	return answer.Result()
}

func (e *entrance) logIn(name, word string, change func(*http.Request)) *http.Response {
	return e.ask("POST", "/login", url.Values{"name": {name}, "password": {word}, "to": {"/handshakes?last=7d"}}, change)
}

func TestPasswordOpensTheSessionOfItsUser(t *testing.T) {
	e := newEntrance(t, config.Dashboard{})
	for name, role := range map[string]string{"anna": "operator", "bert": "viewer"} {
		answer := e.logIn(name, e.password, nil)
		if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/handshakes?last=7d" {
			t.Fatalf("%s: %s, to %q", name, answer.Status, answer.Header.Get("Location"))
		}
		cookie := answer.Cookies()[0]
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
			t.Errorf("the cookie of %s: %v", name, cookie)
		}
		with := func(r *http.Request) { r.AddCookie(cookie) }
		if answer := e.ask("GET", "/handshakes", nil, with); answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, answer.Status)
		}
		if line := e.log.String(); !strings.Contains(line, `msg="dashboard login" client=127.0.0.1 user=`+name+` role=`+role) {
			t.Errorf("the log says %s", line)
		}
	}
}

func TestWrongPasswordOpensNothing(t *testing.T) {
	for _, tt := range []struct{ name, word string }{
		{"anna", "wrong"}, {"anna", ""}, {"nobody", ""}, {"", ""}, {"anna\x1b[2J\n", strings.Repeat("x", 60<<10)},
	} {
		e := newEntrance(t, config.Dashboard{})
		answer := e.logIn(tt.name, tt.word, nil)
		if answer.StatusCode != http.StatusUnauthorized || len(answer.Cookies()) != 0 {
			t.Errorf("%q: %s", tt.name, answer.Status)
		}
		if line := e.log.String(); !strings.Contains(line, `msg="dashboard login failed" client=127.0.0.1`) || strings.Contains(line, "\x1b") {
			t.Errorf("the log says %q", line)
		}
	}
}

// Somebody who guesses is stopped before a password is hashed. An operator at the server can
// still log in by a link.
func TestGuessingIsSlow(t *testing.T) {
	e := newEntrance(t, config.Dashboard{})
	refused := 0
	for range 40 {
		if answer := e.logIn("anna", "guessed", nil); answer.StatusCode == http.StatusTooManyRequests && answer.Header.Get("Retry-After") != "" {
			refused++
		}
	}
	if refused < 20 {
		t.Errorf("%d of 40 guesses were refused", refused)
	}
	if answer := e.logIn("anna", e.password, nil); answer.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right password after 40 wrong ones: %s", answer.Status)
	}
	link, err := url.Parse(Login{"http://127.0.0.1:8025/", e.Key}.Link(e.now()))
	if err != nil {
		t.Fatal(err)
	}
	if answer := e.ask("GET", link.RequestURI(), nil, nil); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("a link: %s", answer.Status)
	}
	e.attempts.Report()
	if line := e.log.String(); !strings.Contains(line, `msg="dashboard logins refused" network=127.0.0.0/24`) {
		t.Errorf("the log says %s", line)
	}
}

func TestLoginLeadsOnlyToOwnPages(t *testing.T) {
	for to, want := range map[string]string{
		"/senders?last=7d": "/senders?last=7d", "": "/", "//evil.test/": "/", "https://evil.test/": "/", `/\evil.test`: "/",
		"/login": "/", "/a\nb": "/", "senders": "/",
	} {
		if got := ownPage(to); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
}

// A page of another site that makes its name point to this machine gets no answer.
func TestOtherNamesGetNoAnswer(t *testing.T) {
	e := newEntrance(t, config.Dashboard{Host: "mx.example.org", URL: "https://postern.example.org:8443/"})
	for host, want := range map[string]int{
		"127.0.0.1:8025": 401, "[::1]:8025": 401, "localhost": 401, "LOCALHOST.:8025": 401, "mx.example.org": 401, "postern.example.org": 401,
		"evil.test": 421, "127.0.0.1.evil.test:8025": 421, "localhost.evil.test": 421, "": 421,
	} {
		if answer := e.ask("GET", "/", nil, func(r *http.Request) { r.Host = host }); answer.StatusCode != want {
			t.Errorf("Host %q: %s, want %d", host, answer.Status, want)
		}
	}
}

func TestOnlyProxiesConnectInPlaintext(t *testing.T) {
	proxied := config.Dashboard{URL: "https://postern.example.org/", Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}}
	for name, tt := range map[string]struct {
		access       config.Dashboard
		peer, host   string
		forwardedFor string
		tls          bool
		want         int
		client       string
		secure       bool
	}{
		"this machine":                 {config.Dashboard{}, "127.0.0.1", "localhost", "", false, 303, "127.0.0.1", false},
		"another machine":              {config.Dashboard{}, "198.51.100.7", "192.0.2.1", "", false, 403, "", false},
		"over the web listener":        {config.Dashboard{Host: "mx.example.org"}, "198.51.100.7", "mx.example.org", "", true, 303, "198.51.100.7", true},
		"a web client that names one":  {config.Dashboard{Host: "mx.example.org"}, "198.51.100.7", "mx.example.org", "203.0.113.1", true, 303, "198.51.100.7", true},
		"a local one that names one":   {config.Dashboard{}, "127.0.0.1", "localhost", "203.0.113.1", false, 303, "127.0.0.1", false},
		"the proxy":                    {proxied, "192.0.2.10", "postern.example.org", "203.0.113.1", false, 303, "203.0.113.1", true},
		"a client that invents a hop":  {proxied, "192.0.2.10", "postern.example.org", "127.0.0.1, 203.0.113.1", false, 303, "203.0.113.1", true},
		"two proxies":                  {proxied, "192.0.2.10", "postern.example.org", "203.0.113.1, 192.0.2.10", false, 303, "203.0.113.1", true},
		"nonsense":                     {proxied, "192.0.2.10", "postern.example.org", "x", false, 303, "192.0.2.10", true},
		"a neighbour of the proxy":     {proxied, "192.0.2.11", "postern.example.org", "203.0.113.1", false, 403, "", false},
		"a proxy that hides the name":  {proxied, "192.0.2.10", "192.0.2.1", "203.0.113.1", false, 421, "", false},
		"the default proxy":            {config.Dashboard{URL: "https://postern.example.org/"}, "::1", "postern.example.org", "2001:db8::1", false, 303, "2001:db8::1", true},
		"IPv4 as IPv6, from the proxy": {proxied, "::ffff:192.0.2.10", "postern.example.org", "203.0.113.1", false, 303, "203.0.113.1", true},
	} {
		e := newEntrance(t, tt.access)
		answer := e.logIn("anna", e.password, func(r *http.Request) {
			r.RemoteAddr, r.Host = netip.AddrPortFrom(netip.MustParseAddr(tt.peer), 4711).String(), tt.host
			if tt.tls {
				r.TLS = new(tls.ConnectionState)
			}
			if tt.forwardedFor != "" {
				r.Header.Set("X-Forwarded-For", tt.forwardedFor)
			}
		})
		if answer.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", name, answer.Status, tt.want)
			continue
		}
		if tt.want != http.StatusSeeOther {
			continue
		}
		if cookie := answer.Cookies()[0]; cookie.Secure != tt.secure || strings.HasPrefix(cookie.Name, "__Host-") != tt.secure {
			t.Errorf("%s: the cookie is %v", name, cookie)
		}
		if line := e.log.String(); !strings.Contains(line, "client="+tt.client+" ") {
			t.Errorf("%s: the log says %s, want client %s", name, line, tt.client)
		}
	}
}

func TestViewersChangeNothing(t *testing.T) {
	e := newEntrance(t, config.Dashboard{})
	changed := e.signedIn(operator, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a viewer changed something") }))
	r := httptest.NewRequest("POST", "/", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: e.access.start("bert", viewer, netip.Addr{})})
	answer := httptest.NewRecorder()
	changed.ServeHTTP(answer, r)
	if answer.Code != http.StatusForbidden {
		t.Errorf("status %d", answer.Code)
	}
}

// Those who are logged in are listed, and can be logged out. A viewer sees no other user.
func TestOtherSessionsEnd(t *testing.T) {
	e := newEntrance(t, config.Dashboard{})
	server := httptest.NewServer(e)
	defer server.Close()
	browser := func(who string, as role) *site {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &site{t, &http.Client{Jar: jar}, server.URL, e.Dashboard, nil, ""}
		at, _ := url.Parse(server.URL)
		jar.SetCookies(at, []*http.Cookie{{Name: cookieName, Value: e.access.start(who, as, netip.MustParseAddr("203.0.113.1"))}})
		return s
	}
	anna, phone, bert := browser("anna", operator), browser("anna", operator), browser("bert", viewer)
	if _, body := bert.get("/sessions"); strings.Contains(body, "anna") || !strings.Contains(body, "203.0.113.1") {
		t.Errorf("a viewer sees\n%s", body)
	}
	_, body := anna.get("/sessions")
	if strings.Count(body, "<tr>") != 4 {
		t.Errorf("an operator sees\n%s", body)
	}
	token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(body)
	response, err := anna.PostForm(server.URL+"/sessions/end", url.Values{"csrf": {token[1]}})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for name, tt := range map[string]struct {
		*site
		want int
	}{"this one": {anna, 200}, "the phone": {phone, 401}, "the viewer": {bert, 401}} {
		if status, _ := tt.get("/"); status != tt.want {
			t.Errorf("%s: %d", name, status)
		}
	}
	if line := e.log.String(); !strings.Contains(line, `msg="changed by dashboard" action="log out others" user=anna client=127.0.0.1 sessions=2`) {
		t.Errorf("the log says %s", line)
	}
}
