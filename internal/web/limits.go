package web

import (
	"crypto/tls"
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

// MaxConnections is how many connections the web listeners have at most, and so descriptors.
const MaxConnections = 1000

// quotas are generous enough for the policy fetchers of a large provider, which may have one
// address: it gets a quarter of its network's share. A start is a TLS handshake or a request.
var quotas = admission.Quotas{
	Total:      admission.Quota{Connections: MaxConnections, Starts: 200},
	PerNetwork: admission.Quota{Connections: 200, Starts: 40},
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
	e.log.Debug("web connection failed", logkey.Err, clip(strings.TrimSuffix(string(line), "\n")))
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
	secure bool // TLS is above it
}

func (l *listener) Accept() (net.Conn, error) {
	s := l.server
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addressOf(conn.RemoteAddr().String())
		if over, reason := s.admit(from); over != nil {
			if s.tally.Line(from, refusedConnection) {
				s.log.Info("web connection refused", logkey.Client, conn.RemoteAddr().String(), logkey.Limit, over.String(), logkey.Reason, reason)
			}
			conn.Close()
			continue
		}
		admitted := &connection{Conn: conn, end: time.AfterFunc(connectionTime, func() { conn.Close() })}
		if l.secure {
			admitted.hello = s.handshakes.Conn(conn, from)
		}
		admitted.leave = sync.OnceFunc(func() {
			s.admission.Disconnect(from)
			admitted.release()
		})
		return admitted, nil
	}
}

// admit counts a connection and its TLS handshake, or returns the limit that was reached.
func (s *Server) admit(from netip.Addr) (over *admission.Reached, reason string) {
	if over := s.admission.Connect(from, quotas); over != nil {
		return over, "too many connections"
	}
	if over := s.admission.AllowStart(from, quotas); over != nil {
		s.admission.Disconnect(from)
		return over, "too many TLS handshakes and requests"
	}
	return nil, ""
}

// addressOf returns the address of an address with its port.
func addressOf(addr string) netip.Addr {
	from, _ := netip.ParseAddrPort(addr)
	return from.Addr()
}

// logRate is how many refused connections, and requests that are refused or fail, get a line
// in the log.
var logRate = admission.Quotas{
	Total:      admission.Quota{Starts: 20},
	PerNetwork: admission.Quota{Starts: 8},
}

// The kinds of what gets no line, in the sums.
const (
	refusedConnection = 0
	refusedRequest    = 1
)

// sumUp logs the counts of what got no line.
func (s *Server) sumUp(sums []admission.Sum, took time.Duration) {
	for _, sum := range sums {
		s.log.Info("more web clients refused", logkey.Network, sum.String(),
			logkey.Connections, sum.Counts[refusedConnection], logkey.Requests, sum.Counts[refusedRequest], logkey.Duration, took)
	}
}

// A connection is counted until it is closed, at the latest after connectionTime.
type connection struct {
	net.Conn
	hello *admission.TLSConn // over Conn, until the ClientHello is whole; nil without TLS
	read  bool               // it is whole
	end   *time.Timer
	leave func()
}

// notesHello returns a configuration by which a connection learns that its ClientHello is
// whole.
func notesHello(base *tls.Config) *tls.Config {
	if base == nil {
		return nil
	}
	config := base.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		conn := hello.Conn.(*connection)
		conn.read = true
		conn.release()
		if base.GetConfigForClient == nil {
			return nil, nil
		}
		return base.GetConfigForClient(hello)
	}
	return config
}

// Read reads from the connection.
func (c *connection) Read(b []byte) (int, error) {
	if c.hello != nil && !c.read {
		return c.hello.Read(b)
	}
	return c.Conn.Read(b)
}

func (c *connection) release() {
	if c.hello != nil {
		c.hello.Release()
	}
}

// Close closes the connection.
func (c *connection) Close() error {
	c.end.Stop()
	c.leave() // before the client can notice
	return c.Conn.Close()
}
