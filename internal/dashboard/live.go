package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// changeInterval is how often the ledger is asked for something new while a page is
	// open, once for all of them.
	changeInterval = 500 * time.Millisecond

	// keepAlive is how often an open page gets a line when nothing is new, so that nothing
	// between closes the connection, and a page that is gone is noticed.
	keepAlive = 25 * time.Second

	// maxLive bounds the open pages with updates. The others are complete, and stay as
	// they are.
	maxLive = 500
)

// changes notices when the ledger has something new. It reads only while somebody waits.
type changes struct {
	latest func(context.Context) (int64, error) // grows with each event stored

	mu      sync.Mutex
	waiting map[chan int64]bool
	stop    context.CancelFunc
}

// subscribe returns a channel that gets the number of the latest event when it changes.
// It returns nil if too many wait.
func (c *changes) subscribe() chan int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= maxLive {
		return nil
	}
	if len(c.waiting) == 0 {
		c.waiting = make(map[chan int64]bool)
		var ctx context.Context
		ctx, c.stop = context.WithCancel(context.Background())
		go c.watch(ctx)
	}
	news := make(chan int64, 1)
	c.waiting[news] = true
	return news
}

func (c *changes) unsubscribe(news chan int64) {
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
	last, err := c.latest(ctx)
	for known := err == nil; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := c.latest(ctx)
		if err != nil || known && now == last {
			continue
		}
		last, known = now, true
		c.mu.Lock()
		for news := range c.waiting {
			select {
			case news <- now:
			default: // it has one to read
			}
		}
		c.mu.Unlock()
	}
}

// latest is the number of the newest handshake, refusal and report together.
func (d *Dashboard) latest(ctx context.Context) (int64, error) {
	book, err := d.reader()
	if err != nil {
		return 0, err
	}
	return book.Latest(ctx)
}

// live sends an event for each change in the ledger, as server-sent events.
func (d *Dashboard) live(w http.ResponseWriter, r *http.Request) {
	news := d.changes.subscribe()
	if news == nil {
		http.Error(w, "too many open pages", http.StatusServiceUnavailable)
		return
	}
	defer d.changes.unsubscribe(news)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	control.SetWriteDeadline(time.Time{})
	send := func(text string) bool {
		_, err := fmt.Fprint(w, text)
		return err == nil && control.Flush() == nil
	}
	if !send("retry: 2000\n\n") {
		return
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		var ok bool
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			ok = d.access.session(r) != nil && send(":\n\n")
		case id := <-news:
			ok = send(fmt.Sprintf("event: changed\ndata: %d\n\n", id))
		}
		if !ok {
			return
		}
	}
}
