package persona

import (
	"crypto/tls"
	"sync"

	utls "github.com/refraction-networking/utls"
)

// tickets is what a client needs to resume, in the form of its library.
type tickets struct {
	standard cache[tls.ClientSessionState]
	shaped   cache[utls.ClientSessionState]
}

func (t *tickets) held() bool {
	return t != nil && (t.standard.last() != nil || t.shaped.last() != nil)
}

// again returns the same sessions for another connection.
func (t *tickets) again() *tickets {
	another := new(tickets)
	if t != nil {
		another.standard.session, another.shaped.session = t.standard.last(), t.shaped.last()
	}
	return another
}

// report makes f be told the size of each ticket that comes, in bytes.
func (t *tickets) report(f func(size int)) {
	t.standard.came = func(session *tls.ClientSessionState) {
		if ticket, _, err := session.ResumptionState(); err == nil {
			f(len(ticket))
		}
	}
	t.shaped.came = func(session *utls.ClientSessionState) {
		if ticket, _, err := session.ResumptionState(); err == nil {
			f(len(ticket))
		}
	}
}

// A cache is a session cache for one server, whatever names and addresses it has: so a
// session can be taken to another.
type cache[Session any] struct {
	mu      sync.Mutex
	session *Session
	came    func(*Session)
}

// Get returns the last session.
func (c *cache[Session]) Get(string) (*Session, bool) {
	session := c.last()
	return session, session != nil
}

// Put keeps a session; nil: what was kept is of no use.
func (c *cache[Session]) Put(_ string, session *Session) {
	c.mu.Lock()
	c.session = session
	c.mu.Unlock()
	if session != nil {
		c.came(session)
	}
}

func (c *cache[Session]) last() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}
