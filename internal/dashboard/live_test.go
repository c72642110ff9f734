package dashboard

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/ledger"
)

// oneConn is a listener that accepts one connection.
type oneConn chan net.Conn

func (l oneConn) Accept() (net.Conn, error) {
	if conn, ok := <-l; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (oneConn) Close() error   { return nil }
func (oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A browser that reads nothing keeps neither a place among the open pages nor the server from
// stopping.
func TestAnOpenPageThatReadsNothingIsEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	synctest.Test(t, func(t *testing.T) {
		pages := New(Settings{Ledger: path, Log: slog.New(slog.DiscardHandler)})
		ended := make(chan time.Duration, 1)
		server := &http.Server{WriteTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			pages.live(w, r)
			ended <- time.Since(began)
		})}
		client, conn := net.Pipe()
		ln := make(oneConn, 1)
		ln <- conn
		go server.Serve(ln)
		if _, err := io.WriteString(client, "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if took := <-ended; took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		close(ln)
		client.Close()
		server.Close()
		pages.Close()
	})
}

// A failure is told at once. If more follow, the pages that are open share what they may cost: a
// single one loads again after each.
func TestManyOpenPagesLoadLessOften(t *testing.T) {
	for pages, most := range map[int]int{1: 20, 100: 6} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var mark ledger.Mark
			c := &changes{latest: func(context.Context) (ledger.Mark, error) {
				mu.Lock()
				defer mu.Unlock()
				return mark, nil
			}}
			var all []chan ledger.Mark
			for range pages {
				all = append(all, c.subscribe())
			}
			time.Sleep(time.Minute + changeInterval/2) // between two looks
			fail := func() {
				mu.Lock()
				mark.Failed++
				mu.Unlock()
			}
			fail()
			time.Sleep(changeInterval)
			synctest.Wait()
			for _, news := range all {
				if len(news) != 1 {
					t.Errorf("%d open pages: one is not told of the first failure", pages)
				}
			}
			told := 0
			for range 20 {
				for _, news := range all {
					for len(news) > 0 {
						<-news
						told++
					}
				}
				fail()
				time.Sleep(changeInterval)
			}
			if each := told / pages; each > most || each < most-1 {
				t.Errorf("%d open pages: each was told %d times in 10 seconds, want %d", pages, each, most)
			}
			for _, news := range all {
				c.unsubscribe(news)
			}
		})
	}
}
