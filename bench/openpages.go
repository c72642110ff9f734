package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"postern/bench/load"
	"postern/internal/config"
	"postern/internal/dashboard"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

const (
	browsers = 100 // with a page open

	// failureInterval is how often a handshake fails meanwhile: open pages load again at once,
	// and people have them open when something fails.
	failureInterval = 500 * time.Millisecond
)

// livePages are those that load again when there is something new.
var livePages = []string{"/", "/senders", "/handshakes", "/refusals", "/reports", "/domains", "/fallback", "/alerts"}

// measureOpenPages compares the CPU time of a message with pages open, and without.
func measureOpenPages(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s)
	program, check := build(s, "./cmd/postern"), countedBy(sink)
	start := func() postern {
		return startProgram(s, program, cert, "smtp://"+sink.Addr, "--dashboard", testpeer.FreeAddr(s), "--metrics", "off")
	}
	alone, shown := start(), start()
	ctx, close := context.WithCancel(context.Background())
	defer close()
	loads := new(atomic.Int64)
	if err := shown.openPages(ctx, loads); err != nil {
		return err
	}
	contenders := []contender{
		whileFailing(alone.addr, p.server("no page", alone.addr, cert.TLS.Leaf, check)),
		whileFailing(shown.addr, p.server("open pages", shown.addr, cert.TLS.Leaf, check)),
	}
	r.header("at once", "a connection", "handshake", "no page open", fmt.Sprintf("%d open", browsers), "more CPU", "loads of pages a second")
	for _, how := range []pattern{{20, 1, false}, {20, 20, false}} {
		before := loads.Load()
		all, err := p.inTurns(how, contenders...)
		if err != nil {
			return err
		}
		loaded := float64(loads.Load()-before) / (time.Duration(p.rounds) * (p.warm + p.time)).Seconds()
		if loaded == 0 {
			return fmt.Errorf("no open page has loaded again")
		}
		more := percent(100 * (all[1].cpuOver(all[0]) - 1))
		r.row(how.cells(all[0].rateAndCPU(), all[1].rateAndCPU(), more, perSecond(loaded))...)
		atMost(r, fmt.Sprintf("more CPU of a message with %d open pages, %s", browsers, how), more, 10)
	}
	return nil
}

// whileFailing returns the contender on addr, of which handshakes fail meanwhile.
func whileFailing(addr string, c contender) contender {
	return contender{c.name, func(how pattern) (figure, error) {
		end, failed := make(chan struct{}), make(chan error, 1)
		go func() {
			tick := time.NewTicker(failureInterval)
			defer tick.Stop()
			for {
				select {
				case <-end:
					failed <- nil
					return
				case <-tick.C:
					if err := load.ClosedAfterFlight.Fail(addr, 1); err != nil {
						failed <- err
						return
					}
				}
			}
		}()
		f, err := c.measure(how)
		close(end)
		if fault := <-failed; err == nil {
			err = fault
		}
		return f, err
	}}
}

// openPages opens pages until ctx ends, as a browser that an operator has logged in. It counts
// how often they load again.
func (p postern) openPages(ctx context.Context, loads *atomic.Int64) error {
	login, err := dashboard.ReadLogin(config.LoginFile(filepath.Dir(p.maildir)))
	if err != nil {
		return err
	}
	jar, _ := cookiejar.New(nil) // never fails
	b := browser{http.Client{Jar: jar}, strings.TrimSuffix(login.URL, "/"), loads}
	if _, err := b.get(ctx, strings.TrimPrefix(login.Link(time.Now()), b.site)); err != nil {
		return err
	}
	for i := range browsers {
		path := livePages[i%len(livePages)]
		updates, err := b.open(ctx, path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		go b.follow(ctx, path, updates)
	}
	return nil
}

// A browser does what the dashboard's page.js does.
type browser struct {
	http.Client
	site  string
	loads *atomic.Int64
}

var liveMark = regexp.MustCompile(`data-live="([^"]*)"`)

// open loads a page, and opens its updates.
func (b *browser) open(ctx context.Context, path string) (io.ReadCloser, error) {
	page, err := b.get(ctx, path)
	if err != nil {
		return nil, err
	}
	mark := liveMark.FindSubmatch(page)
	if mark == nil {
		return nil, fmt.Errorf("the page has no updates")
	}
	return b.request(ctx, "/live?since="+string(mark[1]))
}

// follow loads a page again at each update.
func (b *browser) follow(ctx context.Context, path string, updates io.ReadCloser) {
	defer updates.Close()
	for lines := bufio.NewScanner(updates); lines.Scan(); {
		if lines.Text() != "event: changed" {
			continue
		}
		if _, err := b.get(ctx, path); err != nil {
			return
		}
		b.loads.Add(1)
	}
}

// get returns what is at a path.
func (b *browser) get(ctx context.Context, path string) ([]byte, error) {
	body, err := b.request(ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func (b *browser) request(ctx context.Context, path string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.site+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := b.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return answer.Body, nil
}
