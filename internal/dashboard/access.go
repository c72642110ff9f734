package dashboard

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Key is the secret by which a server recognises the login links of its operator: who can
// read it may see the dashboard.
type Key [sha256.Size]byte

// NewKey returns a new key.
func NewKey() (k Key) {
	rand.Read(k[:])
	return k
}

// A Login is what the command that prints login links has to know of a running server. It is
// stored as JSON, in a file that only the server's user can read.
type Login struct {
	URL string `json:"url"` // of the first page
	Key Key    `json:"key"`
}

// Link returns a link that logs its reader in, once, before linkTime is over.
func (l Login) Link(now time.Time) string {
	return strings.TrimSuffix(l.URL, "/") + "/login?token=" + l.Key.token(now)
}

// MarshalText returns the key as hexadecimal digits.
func (k Key) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Key) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(k) {
		return errors.New("not a login key")
	}
	_, err := hex.Decode(k[:], text)
	return err
}

// linkTime is how long a login link can be used.
const linkTime = 10 * time.Minute

const (
	nonceSize = 16
	tokenSize = nonceSize + 8 + sha256.Size // nonce, time, code
)

// token returns the token of a login link, for one use before linkTime is over.
func (k Key) token(now time.Time) string {
	token := make([]byte, nonceSize, tokenSize)
	rand.Read(token)
	token = binary.BigEndian.AppendUint64(token, uint64(now.Add(linkTime).Unix()))
	return base64.RawURLEncoding.EncodeToString(k.code(token, token))
}

// code appends the message authentication code of text to out.
func (k Key) code(out, text []byte) []byte {
	h := hmac.New(sha256.New, k[:])
	h.Write([]byte("dashboard login\n"))
	h.Write(text)
	return h.Sum(out)
}

// verify returns the nonce of a token of the key and when the token ends.
func (k Key) verify(text string) (nonce [nonceSize]byte, until time.Time, ok bool) {
	token, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(token) != tokenSize {
		return nonce, until, false
	}
	said := token[:nonceSize+8]
	copy(nonce[:], said)
	until = time.Unix(int64(binary.BigEndian.Uint64(said[nonceSize:])), 0)
	return nonce, until, hmac.Equal(token, k.code(said[:len(said):len(said)], said))
}

// A role is what a person may do. A greater one may do all that a smaller one may.
type role int

const (
	viewer   role = iota + 1 // sees every page
	operator                 // changes what fallback does, and acknowledges alerts
)

// A session is a browser that has logged in.
type session struct {
	Role  role
	CSRF  string // in every form that changes something
	last  time.Time
	start time.Time
}

// Operator reports whether pages should offer changes.
func (s *session) Operator() bool { return s != nil && s.Role >= operator }

const (
	// cookieName has a prefix by which a browser refuses the cookie from other hosts'
	// pages, where the connection is encrypted (RFC 6265bis, Section 4.1.3).
	cookieName       = "postern"
	secureCookieName = "__Host-postern"

	sessionIdle = 12 * time.Hour
	sessionTime = 7 * 24 * time.Hour
	maxSessions = 1000
)

// An access knows who has logged in. Sessions end when the server does.
type access struct {
	key Key
	now func() time.Time

	mu       sync.Mutex
	used     map[[nonceSize]byte]time.Time  // login links, until they end
	sessions map[[sha256.Size]byte]*session // by the hash of the cookie
}

func newAccess(key Key) *access {
	return &access{
		key: key, now: time.Now,
		used: make(map[[nonceSize]byte]time.Time), sessions: make(map[[sha256.Size]byte]*session),
	}
}

// useLink starts a session for a login link that has not been used.
func (a *access) useLink(token string) (cookie string, ok bool) {
	nonce, until, ok := a.key.verify(token)
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for old, end := range a.used {
		if !now.Before(end) {
			delete(a.used, old)
		}
	}
	if _, again := a.used[nonce]; !ok || again || !now.Before(until) {
		return "", false
	}
	a.used[nonce] = until
	return a.begin(operator, now), true
}

// begin starts a session. The caller holds mu.
func (a *access) begin(as role, now time.Time) (cookie string) {
	for len(a.sessions) >= maxSessions {
		a.forgetOldest()
	}
	cookie = rand.Text()
	a.sessions[sha256.Sum256([]byte(cookie))] = &session{Role: as, CSRF: rand.Text(), last: now, start: now}
	return cookie
}

func (a *access) forgetOldest() {
	var oldest [sha256.Size]byte
	var at time.Time
	for id, s := range a.sessions {
		if at.IsZero() || s.last.Before(at) {
			oldest, at = id, s.last
		}
	}
	delete(a.sessions, oldest)
}

// session returns a copy of the session of a request, or nil.
func (a *access) session(r *http.Request) *session {
	cookie, err := r.Cookie(cookieFor(r))
	if err != nil {
		return nil
	}
	id := sha256.Sum256([]byte(cookie.Value))
	a.mu.Lock()
	defer a.mu.Unlock()
	s, now := a.sessions[id], a.now()
	if s == nil {
		return nil
	}
	if now.Sub(s.last) > sessionIdle || now.Sub(s.start) > sessionTime {
		delete(a.sessions, id)
		return nil
	}
	s.last = now
	found := *s
	return &found
}

// end ends the session of a request.
func (a *access) end(r *http.Request) {
	if cookie, err := r.Cookie(cookieFor(r)); err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.sessions, sha256.Sum256([]byte(cookie.Value)))
	}
}

func cookieFor(r *http.Request) string {
	if r.TLS != nil {
		return secureCookieName
	}
	return cookieName
}

func setCookie(w http.ResponseWriter, r *http.Request, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieFor(r), Value: value, Path: "/", MaxAge: age,
		Secure: r.TLS != nil, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

type sessionKey struct{}

// sessionOf returns the session of a request, or nil.
func sessionOf(r *http.Request) *session {
	s, _ := r.Context().Value(sessionKey{}).(*session)
	return s
}

// signedIn lets only those with a role through to next, and only forms of our own pages.
func (d *Dashboard) signedIn(least role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := d.access.session(r)
		if s == nil {
			d.render(w, r, http.StatusUnauthorized, &view{Template: "login", Title: "Log in"})
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, s))
		switch {
		case s.Role < least:
			d.render(w, r, http.StatusForbidden, &view{Template: "error", Title: "Not allowed", Data: "Your account may see pages, not change anything."})
		case r.Method != http.MethodGet && subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(s.CSRF)) != 1:
			d.render(w, r, http.StatusForbidden, &view{Template: "error", Title: "Not sent by this page", Data: "The form is not of this login. Load the page again, and repeat it."})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// login takes a login link, or shows how to get one.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("token")
	if token == "" {
		d.render(w, r, http.StatusOK, &view{Template: "login", Title: "Log in"})
		return
	}
	cookie, ok := d.access.useLink(token)
	if !ok {
		d.render(w, r, http.StatusUnauthorized, &view{Template: "login", Title: "Log in", Data: "This link was used already, or is older than 10 minutes."})
		return
	}
	setCookie(w, r, cookie, int(sessionTime/time.Second))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	d.access.end(r)
	setCookie(w, r, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
