package server

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"postern/internal/config"
)

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	closed sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p *pipes) Close() error   { p.closed.Do(func() { close(p.conns) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A local user who opens many connections to the dashboard or the metrics takes no descriptors
// from mail.
func TestConnectionsOfAPlainHTTPServerAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &pipes{conns: make(chan net.Conn, 3)}
		s := newPlainHTTP(ln, 2, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
		done := make(chan error)
		go func() { done <- s.serve() }()
		var answered atomic.Int64
		var open []net.Conn
		for range 3 {
			ours, theirs := net.Pipe()
			open = append(open, theirs)
			ln.conns <- ours
			go func() {
				fmt.Fprint(theirs, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
				if _, err := http.ReadResponse(bufio.NewReader(theirs), nil); err == nil {
					answered.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := answered.Load(); n != 2 {
			t.Errorf("%d of 3 connections are answered while all are open, want 2", n)
		}
		open[0].Close()
		synctest.Wait()
		if answered.Load() != 3 {
			t.Error("the third connection is not answered when one is closed")
		}
		s.close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A server that ends before it has begun to serve lets go of the addresses.
func TestServersThatNeverServedFreeTheirAddress(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	d := openDashboard(&config.Config{Dashboard: config.Dashboard{Listen: "127.0.0.1:0"}, Data: t.TempDir()}, nil, nil, log)
	m := openMetrics(config.Metrics{Listen: "127.0.0.1:0"}, http.NotFoundHandler(), nil, log)
	d.close()
	m.close()
	for _, addr := range []net.Addr{d.own.listener.Addr(), m.listener.Addr()} {
		ln, err := net.Listen("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
	}
}
