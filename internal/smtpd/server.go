// Package smtpd is the SMTP server: it takes mail over STARTTLS and implicit
// TLS from strangers, within limits, and hands it to a next hop (RFC 5321,
// RFC 3207).
//
// It never queues: the reply to a message is the next hop's.
package smtpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/admission"
	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/sessionticket"
)

// A Server receives mail on any number of listeners.
type Server struct {
	gate      *sessionticket.Gate
	hop       nexthop.Hop
	observer  Observer
	log       *slog.Logger
	setup     atomic.Pointer[setup]
	admission *admission.Limiter

	mu        sync.Mutex
	draining  bool
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	running   sync.WaitGroup // sessions
}

// New returns a server that hands its mail to hop and its sessions' results to
// observer.
func New(settings Settings, hop nexthop.Hop, observer Observer, log *slog.Logger) *Server {
	s := &Server{
		hop:       hop,
		observer:  observer,
		log:       log,
		admission: admission.New(),
		listeners: make(map[net.Listener]struct{}),
		sessions:  make(map[*session]struct{}),
	}
	s.gate = &sessionticket.Gate{Choose: chooseMode, OnBypass: s.ticketsLeaveEarly}
	s.Apply(settings)
	return s
}

func (s *Server) ticketsLeaveEarly(reason error) {
	s.log.Error("session tickets leave early, as crypto/tls sends them; some senders will not get in", logkey.Err, reason)
}

// Apply puts new settings in force for the sessions that begin from now on.
// Tickets given before stay good as long as settings.TLS holds the same ticket
// keys: pass the same tls.Config where it has not changed.
func (s *Server) Apply(settings Settings) {
	s.setup.Store(newSetup(settings, s.gate))
}

// Serve takes SMTP connections from ln, with STARTTLS, until Shutdown, and
// then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error { return s.serve(ln, false) }

// ServeTLS is Serve for connections that begin with TLS (RFC 8314).
func (s *Server) ServeTLS(ln net.Listener) error { return s.serve(ln, true) }

func (s *Server) serve(ln net.Listener, implicit bool) error {
	if !s.adopt(ln) {
		return nil
	}
	defer ln.Close()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if s.isDraining() {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			s.pause(err)
			continue
		}
		s.start(conn, implicit)
	}
}

// pause waits until connections can be taken again, as when all file
// descriptors are in use.
func (s *Server) pause(err error) {
	const long = 100 * time.Millisecond
	s.log.Warn("cannot accept connections", logkey.Err, err)
	time.Sleep(long)
}

func (s *Server) adopt(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		ln.Close()
		return false
	}
	s.listeners[ln] = struct{}{}
	return true
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// start runs a session for conn, or turns it away.
func (s *Server) start(conn net.Conn, implicit bool) {
	session := newSession(s, conn)
	quotas := session.setup.Limits.Quotas
	if !s.admission.Connect(session.network, quotas) {
		s.turnAway(session, implicit)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		s.admission.Disconnect(session.network)
		conn.Close()
		return
	}
	s.sessions[session] = struct{}{}
	s.running.Go(func() {
		defer s.end(session)
		session.serve(implicit)
	})
}

// end counts a session out. One that panicked takes no other with it: its
// connection is closed already, and nothing was acknowledged that is not safe.
func (s *Server) end(session *session) {
	if cause := recover(); cause != nil {
		session.end, session.err = "panic", fmt.Errorf("smtpd: panic: %v\n%s", cause, debug.Stack())
	}
	s.admission.Disconnect(session.network)
	s.observer.SessionEnded(session.result())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session)
}

// turnAway never waits for the peer: a first reply fits the socket's buffer.
func (s *Server) turnAway(session *session, implicit bool) {
	if !implicit {
		session.conn.SetWriteDeadline(time.Now().Add(time.Second))
		session.conn.Write(session.tooMany("connections").Append(nil))
	}
	session.conn.Close()
	session.end = "turned away: too many connections"
	s.observer.SessionEnded(session.result())
}

// Shutdown stops listening, lets each session finish the message that it is
// in, tells it 421 then, and waits until all are gone. When ctx ends, the rest
// is closed and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	gone := make(chan struct{})
	go func() {
		s.running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.closeAll()
	return context.Cause(ctx)
}

func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for ln := range s.listeners {
		ln.Close()
	}
	for session := range s.sessions {
		session.drain()
	}
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		session.raw.Close()
	}
}
