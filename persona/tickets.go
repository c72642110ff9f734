package persona

import (
	"crypto/tls"
	"sync"

	utls "github.com/refraction-networking/utls"
)

// tickets are the sessions that a client can resume. It is a session cache for one
// server, whatever names and addresses it has: so a session can be taken to another.
type tickets struct {
	mu       sync.Mutex
	standard *tls.ClientSessionState
	shaped   *utls.ClientSessionState

	// came, when not nil, is told the size of each ticket that comes, in bytes.
	came func(size int)
}

func (t *tickets) held() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.standard != nil || t.shaped != nil
}

// again returns the same sessions for another connection.
func (t *tickets) again() *tickets {
	if t == nil {
		return new(tickets)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return &tickets{standard: t.standard, shaped: t.shaped}
}

// standardCache is tickets for crypto/tls.
type standardCache struct{ *tickets }

func (c standardCache) Get(string) (*tls.ClientSessionState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.standard, c.standard != nil
}

func (c standardCache) Put(_ string, session *tls.ClientSessionState) {
	c.mu.Lock()
	c.standard = session
	c.mu.Unlock()
	if session == nil { // it could not be used
		return
	}
	if ticket, _, err := session.ResumptionState(); err == nil {
		c.arrived(len(ticket))
	}
}

// shapedCache is tickets for a client whose ClientHello was built by hand.
type shapedCache struct{ *tickets }

func (c shapedCache) Get(string) (*utls.ClientSessionState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shaped, c.shaped != nil
}

func (c shapedCache) Put(_ string, session *utls.ClientSessionState) {
	c.mu.Lock()
	c.shaped = session
	c.mu.Unlock()
	if session == nil {
		return
	}
	if ticket, _, err := session.ResumptionState(); err == nil {
		c.arrived(len(ticket))
	}
}

func (t *tickets) arrived(size int) {
	if t.came != nil {
		t.came(size)
	}
}
