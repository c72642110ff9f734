package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A role is what a person may do. A greater one may do all that a smaller one may.
type role int

const (
	viewer   role = iota + 1 // sees every page
	operator                 // changes what fallback does, and acknowledges alerts
)

// String returns "viewer" or "operator".
func (r role) String() string {
	if r == operator {
		return "operator"
	}
	return "viewer"
}

// A session is a browser that has logged in.
type session struct {
	Who   string // the user, or byLink
	Role  role
	From  netip.Addr // at the login
	Start time.Time
	Last  time.Time // the last request
	CSRF  string    // in every form that changes something

	id sessionID
}

// A sessionID is the hash of the cookie.
type sessionID [sha256.Size]byte

// byLink is who logged in by a link of postern dashboard.
const byLink = "link of postern dashboard"

// Operator reports whether pages should offer changes.
func (s *session) Operator() bool { return s != nil && s.Role >= operator }

const (
	sessionIdle = 12 * time.Hour
	sessionTime = 7 * 24 * time.Hour
	maxSessions = 1000
)

// An access knows who has logged in. Sessions end when the server does.
type access struct {
	key Key
	now func() time.Time

	mu       sync.Mutex
	used     map[[nonceSize]byte]time.Time // login links, until they end
	sessions map[sessionID]*session
}

func newAccess(key Key) *access {
	return &access{
		key: key, now: time.Now,
		used: make(map[[nonceSize]byte]time.Time), sessions: make(map[sessionID]*session),
	}
}

// useLink starts a session for a login link that has not been used.
func (a *access) useLink(token string, from netip.Addr) (cookie string, ok bool) {
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
	return a.begin(byLink, operator, from, now), true
}

// start starts a session.
func (a *access) start(who string, as role, from netip.Addr) (cookie string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.begin(who, as, from, a.now())
}

// begin is start for callers that hold mu.
func (a *access) begin(who string, as role, from netip.Addr, now time.Time) (cookie string) {
	for len(a.sessions) >= maxSessions {
		a.forgetOldest()
	}
	cookie = rand.Text()
	id := idOf(cookie)
	a.sessions[id] = &session{Who: who, Role: as, From: from, Start: now, Last: now, CSRF: rand.Text(), id: id}
	return cookie
}

func idOf(cookie string) sessionID { return sha256.Sum256([]byte(cookie)) }

func (a *access) forgetOldest() {
	var oldest sessionID
	var at time.Time
	for id, s := range a.sessions {
		if at.IsZero() || s.Last.Before(at) {
			oldest, at = id, s.Last
		}
	}
	delete(a.sessions, oldest)
}

// session returns a copy of the session with a cookie, or nil, and notes that it was used.
func (a *access) session(cookie string) *session {
	id := idOf(cookie)
	a.mu.Lock()
	defer a.mu.Unlock()
	s, now := a.sessions[id], a.now()
	if s == nil {
		return nil
	}
	if s.over(now) {
		delete(a.sessions, id)
		return nil
	}
	s.Last = now
	found := *s
	return &found
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.Last) > sessionIdle || now.Sub(s.Start) > sessionTime
}

// all returns copies of the sessions that mine may see, the last used first: an operator sees
// all, a viewer those of the same user.
func (a *access) all(mine *session) []session {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []session
	for id, s := range a.sessions {
		if s.over(a.now()) {
			delete(a.sessions, id)
		} else if mine.Operator() || s.Who == mine.Who {
			found = append(found, *s)
		}
	}
	slices.SortFunc(found, func(x, y session) int { return y.Last.Compare(x.Last) })
	return found
}

// end ends sessions.
func (a *access) end(ended ...session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range ended {
		delete(a.sessions, s.id)
	}
}
