package web

import (
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/internal/logkey"
)

// quotas are generous enough for the policy fetchers of a large provider. A start is a TLS
// handshake or a request.
var quotas = admission.Quotas{
	Total:      admission.Quota{Connections: 1000, Starts: 200},
	PerNetwork: admission.Quota{Connections: 50, Starts: 10},
}

const (
	headerTime     = 10 * time.Second // for a TLS handshake, and for a request's header
	readTime       = time.Minute      // for a request with its body
	writeTime      = time.Minute      // for a response, from the end of the header
	idleTime       = 30 * time.Second // between requests
	connectionTime = 10 * time.Minute // for a whole connection, whatever HTTP/2 does in it

	maxHeader    = 16 << 10
	maxStreams   = 10 // concurrent ones of an HTTP/2 connection
	streamBuffer = 64 << 10
	connBuffer   = 256 << 10
)

// bounded returns an HTTP/1.1 server with these limits.
func (s *Server) bounded(next http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           s.guard(next),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		Protocols:         protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     streamBuffer,
			MaxReceiveBufferPerConnection: connBuffer,
		},
		ErrorLog: log.New(errorLog{s}, "", 0),
	}
}

// errorLog logs what net/http reports of clients: mostly failed handshakes.
type errorLog struct{ *Server }

func (e errorLog) Write(line []byte) (int, error) {
	e.log.Debug("web connection failed", logkey.Err, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// limitBody lets next read at most limit bytes of the body.
func limitBody(next http.Handler, limit int64) http.Handler {
	limited := http.MaxBytesHandler(next, limit)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > limit {
			w.Header().Set("Connection", "close") // without reading the body
			http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
			return
		}
		limited.ServeHTTP(w, r)
	})
}

// A listener accepts connections within the limits. It closes others before they cost
// anything.
type listener struct {
	net.Listener
	server *Server
}

func (l *listener) Accept() (net.Conn, error) {
	s := l.server
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) { // net/http tries again
				s.log.Warn("cannot accept connections", logkey.Err, err)
			}
			return nil, err
		}
		from := networkOf(conn.RemoteAddr().String())
		if refused := s.admit(from); refused != "" {
			s.log.Info("web connection refused", logkey.Client, conn.RemoteAddr(), logkey.Network, from, logkey.Reason, refused)
			conn.Close()
			continue
		}
		return admitted(conn, func() { s.admission.Disconnect(from) }), nil
	}
}

// admit counts a connection and its TLS handshake, or returns why it is refused.
func (s *Server) admit(from netip.Prefix) (refused string) {
	if !s.admission.Connect(from, quotas) {
		return "too many connections"
	}
	if !s.admission.AllowStart(from, quotas) {
		s.admission.Disconnect(from)
		return "too many TLS handshakes and requests"
	}
	return ""
}

// networkOf returns the network of an address with its port.
func networkOf(addr string) netip.Prefix {
	from, _ := netip.ParseAddrPort(addr)
	return admission.Network(from.Addr())
}

// A connection is counted until it is closed, at the latest after connectionTime.
type connection struct {
	net.Conn
	end   *time.Timer
	leave func()
}

func admitted(conn net.Conn, leave func()) *connection {
	return &connection{conn, time.AfterFunc(connectionTime, func() { conn.Close() }), sync.OnceFunc(leave)}
}

// Close closes the connection.
func (c *connection) Close() error {
	c.end.Stop()
	c.leave() // before the client can notice
	return c.Conn.Close()
}
