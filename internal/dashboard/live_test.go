package dashboard

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
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
