package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"postern/internal/ledger"
)

const (
	// changeInterval is how often the ledger is asked for something new while a page is
	// open, once for all of them.
	changeInterval = 500 * time.Millisecond

	// failureInterval is how often an open page is told to load again while one handshake
	// after the other fails, for each of the open pages: a hundred load every two seconds. The
	// first failure is told at once.
	failureInterval = 20 * time.Millisecond

	// calmInterval is how often open pages are told to load again while nothing fails: a
	// busy server has something new all the time.
	calmInterval = 5 * time.Second

	// keepAlive is how often an open page gets a line when nothing is new, so that nothing
	// between closes the connection, and a page that is gone is noticed.
	keepAlive = 25 * time.Second

	// sendTime is how long an open page may take to read a line.
	sendTime = 10 * time.Second

	// maxLive bounds the open pages with updates. The others are complete, and stay as
	// they are.
	maxLive = 500
)

// changes notices when the ledger has something new. It reads only while somebody waits.
type changes struct {
	latest func(context.Context) (ledger.Mark, error)

	mu      sync.Mutex
	waiting map[chan ledger.Mark]bool
	stop    context.CancelFunc
	sent    time.Time // the last change that those who wait were told of
}

// subscribe returns a channel that gets the mark of the ledger when it changes: at once after
// the first failed handshake, after more of them as failureInterval says, else every calmInterval.
// It returns nil if too many wait.
func (c *changes) subscribe() chan ledger.Mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= maxLive {
		return nil
	}
	if len(c.waiting) == 0 {
		c.waiting = make(map[chan ledger.Mark]bool)
		var ctx context.Context
		ctx, c.stop = context.WithCancel(context.Background())
		go c.watch(ctx)
	}
	news := make(chan ledger.Mark, 1)
	c.waiting[news] = true
	return news
}

func (c *changes) unsubscribe(news chan ledger.Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, news)
	if len(c.waiting) == 0 {
		c.stop()
	}
}

func (c *changes) watch(ctx context.Context) {
	tick := time.NewTicker(changeInterval)
	defer tick.Stop()
	var failed time.Time // when those who wait were told of a failure
	last, err := c.latest(ctx)
	for known := err == nil; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := c.latest(ctx)
		fails := now.Failed != last.Failed
		if err != nil || known && (now == last || c.tooSoon(fails, failed)) {
			continue
		}
		last, known = now, true
		if fails {
			failed = time.Now()
		}
		c.tell(now)
	}
}

// tooSoon reports whether those who wait are to be told later of a change. They were last told of
// a failure at failed.
func (c *changes) tooSoon(fails bool, failed time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fails {
		return time.Since(failed) < time.Duration(len(c.waiting))*failureInterval
	}
	return time.Since(c.sent) < calmInterval
}

// tell tells those who wait of a change.
func (c *changes) tell(now ledger.Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = time.Now()
	for news := range c.waiting {
		select {
		case news <- now:
		default: // it has one to read
		}
	}
}

// told returns when those who wait were last told of a change.
func (c *changes) told() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// latest is the mark of the ledger.
func (d *Dashboard) latest(ctx context.Context) (ledger.Mark, error) {
	book, err := d.reader()
	if err != nil {
		return ledger.Mark{}, err
	}
	return book.Latest(ctx)
}

// live sends an event when the ledger has changed, as server-sent events: at first if it has
// since the page was made, which says so.
func (d *Dashboard) live(w http.ResponseWriter, r *http.Request) {
	news := d.changes.subscribe()
	if news == nil {
		http.Error(w, "too many open pages", http.StatusServiceUnavailable)
		return
	}
	defer d.changes.unsubscribe(news)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	send := func(text string) bool {
		control.SetWriteDeadline(time.Now().Add(sendTime))
		defer control.SetWriteDeadline(time.Time{}) // in HTTP/2 it would end the page while nothing is sent
		_, err := fmt.Fprint(w, text)
		return err == nil && control.Flush() == nil
	}
	changed := func(to ledger.Mark) bool { return send(fmt.Sprintf("event: changed\ndata: %v\n\n", to)) }
	if !send("retry: 2000\n\n") {
		return
	}
	if now, err := d.latest(r.Context()); err == nil && now.String() != r.FormValue("since") && !changed(now) {
		return
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		var ok bool
		select {
		case <-r.Context().Done():
			return
		case <-d.updates.Done():
			return
		case <-tick.C:
			ok = d.findSession(r) != nil && send(":\n\n")
		case to := <-news:
			ok = changed(to)
		}
		if !ok {
			return
		}
	}
}
