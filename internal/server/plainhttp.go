package server

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// A plainHTTP is an HTTP server on an address of its own, for a bounded number of connections.
type plainHTTP struct {
	listener net.Listener
	server   http.Server
}

func newPlainHTTP(ln net.Listener, connections int, handler http.Handler, log *slog.Logger) *plainHTTP {
	return &plainHTTP{netutil.LimitListener(ln, connections), http.Server{
		Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// url is that of a path.
func (p *plainHTTP) url(path string) string { return "http://" + p.listener.Addr().String() + path }

// serve answers requests until close, and then returns nil.
func (p *plainHTTP) serve() error {
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// close closes the address and all connections, even if serve was never called.
func (p *plainHTTP) close() {
	p.server.Close()
	p.listener.Close()
}
