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

// shares let a provider's fetchers of policies in without waiting. A start is a
// TLS handshake or a request.
var shares = admission.Quotas{
	Total:      admission.Quota{Connections: 1000, Starts: 200},
	PerNetwork: admission.Quota{Connections: 50, Starts: 10},
}

const (
	headerTime     = 10 * time.Second // for a TLS handshake, and for a request's header
	readTime       = time.Minute      // for a request with its body
	writeTime      = time.Minute      // for a response, from the end of the header
	idleTime       = 30 * time.Second // between requests
	connectionTime = 10 * time.Minute // for all of a connection, whatever HTTP/2 does in it

	maxHeader  = 16 << 10
	maxStreams = 10 // of a connection by HTTP/2, at once
	streamRoom = 64 << 10
	connRoom   = 256 << 10
)

// bounded is a server for HTTP/1.1 that answers by next.
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
			MaxReceiveBufferPerStream:     streamRoom,
			MaxReceiveBufferPerConnection: connRoom,
		},
		ErrorLog: log.New(complaints{s}, "", 0),
	}
}

// complaints are what net/http has to say of clients: handshakes that fail, mostly.
type complaints struct{ *Server }

func (c complaints) Write(line []byte) (int, error) {
	c.log.Debug("web client failed", logkey.Err, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// limitBody lets next read so many bytes.
func limitBody(next http.Handler, most int64) http.Handler {
	limited := http.MaxBytesHandler(next, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > most {
			w.Header().Set("Connection", "close") // and do not read it
			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
			return
		}
		limited.ServeHTTP(w, r)
	})
}

// A listener lets in as many connections as there is room for. The others are
// closed before they cost anything.
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
				s.log.Warn("connections are not accepted for a moment", logkey.Err, err)
			}
			return nil, err
		}
		from := networkOf(conn.RemoteAddr().String())
		if refused := s.admit(from); refused != "" {
			s.log.Info("web client turned away", logkey.Client, conn.RemoteAddr(), logkey.Network, from, logkey.Reason, refused)
			conn.Close()
			continue
		}
		return admitted(conn, func() { s.admission.Disconnect(from) }), nil
	}
}

// admit counts a connection in, or says why not. What comes over it begins with a
// TLS handshake, which costs.
func (s *Server) admit(from netip.Prefix) (refused string) {
	if !s.admission.Connect(from, shares) {
		return "too many connections"
	}
	if !s.admission.AllowStart(from, shares) {
		s.admission.Disconnect(from)
		return "too many TLS handshakes and requests"
	}
	return ""
}

// networkOf is the network of an address with its port.
func networkOf(addr string) netip.Prefix {
	from, _ := netip.ParseAddrPort(addr)
	return admission.Network(from.Addr())
}

// A connection counts out when it is closed, which it is in time.
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
	c.leave() // before the client can know
	return c.Conn.Close()
}
