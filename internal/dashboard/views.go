package dashboard

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"postern/internal/ledger"
)

const (
	// viewTime is how long a live view is used again, if the ledger has not changed: a page
	// also says how long ago something was. While mail comes, the ledger always has; then it
	// is busyViewTime, if no handshake has failed and open pages were told of no change since.
	viewTime     = 2 * time.Second
	busyViewTime = time.Second

	// maxViews bounds the views that are kept.
	maxViews = 64
)

// views keeps the views of live pages for a moment, so that a hundred people with the same page
// open cost no more than one.
type views struct {
	mu  sync.Mutex
	all map[string]*sharedView // by role and URL
}

// A sharedView is the view of those who ask for it in the same moment. They only read it.
type sharedView struct {
	making sync.Mutex
	of     ledger.Mark
	at     time.Time
	view   *view // nil until it was made
}

// at returns the place of the view with a key.
func (c *views) at(key string) *sharedView {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.all[key]
	if one == nil {
		if c.all == nil || len(c.all) >= maxViews {
			c.all = make(map[string]*sharedView)
		}
		one = new(sharedView)
		c.all[key] = one
	}
	return one
}

// forget forgets the views, for somebody who has just changed something.
func (c *views) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = nil
}

// fits reports whether the view can be shown now. Open pages were last told of a change at told.
func (s *sharedView) fits(mark ledger.Mark, now, told time.Time) bool {
	age := now.Sub(s.at)
	if s.of == mark {
		return age < viewTime
	}
	return s.of.Failed == mark.Failed && s.at.After(told) && age < busyViewTime
}

// viewOf returns the view that load makes for r, or has just made for another with the same role.
func (d *Dashboard) viewOf(r *http.Request, load loader) (v *view, err error) {
	defer caught(&err)
	var as role
	if s := sessionOf(r); s != nil {
		as = s.Role
	}
	mark, err := d.latest(r.Context())
	if err != nil {
		mark = ledger.Mark{}
	}
	shared := d.views.at(fmt.Sprint(as, " ", r.URL.RequestURI()))
	shared.making.Lock()
	defer shared.making.Unlock()
	now := d.now()
	if shared.view != nil && shared.fits(mark, now, d.changes.told()) {
		return shared.view, nil
	}
	if v, err = load(r); err != nil {
		return nil, err
	}
	v.Mark = mark
	if v.Live {
		shared.of, shared.at, shared.view = mark, now, v
	}
	return v, nil
}

// A sharedPage is a live view as HTML, made once for all who have its view.
type sharedPage struct {
	mu   sync.Mutex
	html []byte // nil until it was made
}

// csrfOfAnyone is where the token of a session comes in the HTML. Nothing that a stranger says can
// have it.
var csrfOfAnyone = rand.Text()

// of returns the HTML for a session. At first, make makes that for any with its role.
func (p *sharedPage) of(s *session, make func(anyone *session) ([]byte, error)) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.html == nil {
		html, err := make(&session{Role: s.Role, CSRF: csrfOfAnyone})
		if err != nil {
			return nil, err
		}
		p.html = html
	}
	return bytes.ReplaceAll(p.html, []byte(csrfOfAnyone), []byte(s.CSRF)), nil
}

// atOnce bounds the pages that are made at once, so that mail keeps half of the processors.
type atOnce chan struct{}

func newAtOnce() atOnce { return make(atOnce, max(1, runtime.GOMAXPROCS(0)/2)) }

// do waits for a turn and calls f. It returns false if ctx ended before.
func (a atOnce) do(ctx context.Context, f func()) bool {
	select {
	case a <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-a }()
	f()
	return true
}

// caught makes a panic an error: a fault in one page must not end the others.
func caught(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
	}
}
