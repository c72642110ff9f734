// Package smtpd is the SMTP server (RFC 5321). It receives mail with STARTTLS (RFC
// 3207) and implicit TLS, within limits, and passes it to a next hop.
//
// It never queues: the reply to a message is the reply of the next hop.
package smtpd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"postern/internal/admission"
	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/sessionticket"
)

// A Server receives mail on any number of listeners. Make one with [New].
type Server struct {
	gate       *sessionticket.Gate
	hop        nexthop.Hop
	observer   Observer
	log        *slog.Logger
	setup      atomic.Pointer[setup]
	bypassed   atomic.Bool // the gate
	admission  *admission.Limiter
	handshakes *admission.Handshakes
	turnedAway atomic.Int64 // connections that got a reply and are not closed yet

	draining atomic.Bool // set with mu held

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	running   sync.WaitGroup // sessions
}

// New returns a Server that passes its mail to hop and the results of its sessions
// to observer.
func New(settings Settings, hop nexthop.Hop, observer Observer, log *slog.Logger) *Server {
	s := &Server{
		hop:        hop,
		observer:   observer,
		log:        log,
		admission:  admission.New(),
		handshakes: admission.NewHandshakes(),
		listeners:  make(map[net.Listener]struct{}),
		sessions:   make(map[*session]struct{}),
	}
	s.gate = &sessionticket.Gate{Choose: chooseMode, OnBypass: s.gateBypassed}
	s.Apply(settings)
	return s
}

func (s *Server) gateBypassed(reason error) {
	s.bypassed.Store(true)
	s.log.Error("gate bypassed; sending session tickets early", logkey.Err, reason)
}

// Apply changes the settings for sessions that begin later. Session tickets stay
// valid if settings.TLS has the same ticket keys: pass the same tls.Config if it has
// not changed.
func (s *Server) Apply(settings Settings) {
	s.setup.Store(newSetup(settings, s.gate))
}

// A State is what a server does at a moment.
type State struct {
	Sessions     int
	Draining     bool // [Server.Shutdown] was called
	GateBypassed bool // a session ticket was sent early, since the server started
	Limits       Limits
}

// State returns the state of the server. It waits for no session.
func (s *Server) State() State {
	return State{
		Sessions: s.open(), Draining: s.draining.Load(), GateBypassed: s.bypassed.Load(),
		Limits: s.setup.Load().Limits,
	}
}

func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Serve accepts SMTP connections on ln and offers STARTTLS, until ln returns an error. It
// returns nil after Shutdown. It closes ln. Connections of a [front.Listener] are those of the
// clients that the front-end names.
func (s *Server) Serve(ln net.Listener) error { return s.serve(ln, false) }

// ServeTLS is like Serve, for connections that begin with TLS (RFC 8314).
func (s *Server) ServeTLS(ln net.Listener) error { return s.serve(ln, true) }

func (s *Server) serve(ln net.Listener, implicit bool) error {
	s.adopt(ln)
	defer ln.Close()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if s.draining.Load() {
				return nil
			}
			return err
		}
		s.start(conn, implicit)
	}
}

// adopt makes drain close a listener.
func (s *Server) adopt(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		ln.Close()
	}
	s.listeners[ln] = struct{}{}
}

// start runs a session for conn, or rejects it. The client behind a front-end is not known yet: its
// session admits it.
func (s *Server) start(conn net.Conn, implicit bool) {
	session := newSession(s, conn)
	switch {
	case session.front == nil:
		s.admit(session, implicit)
	case s.open() >= session.setup.Limits.Total.Connections:
		s.reject(session, new(admission.Reached), implicit)
	}
	if session.end != "" {
		s.observer.SessionEnded(session.result())
		return
	}
	s.mu.Lock()
	draining := s.draining.Load()
	if !draining {
		s.sessions[session] = struct{}{}
		s.running.Go(func() {
			defer s.end(session)
			if session.front != nil {
				session.meet(implicit)
			}
			if session.end == "" {
				session.serve(implicit)
			}
		})
	}
	s.mu.Unlock()
	if draining { // it was accepted just before the listener was closed
		s.turnAway(conn, shuttingDown, implicit)
	}
}

// admit counts the connection of a session's sender, or rejects it.
func (s *Server) admit(session *session, implicit bool) {
	over := s.admission.Connect(session.addr.Addr(), session.setup.Limits.Quotas)
	if session.admitted = over == nil; !session.admitted {
		s.reject(session, over, implicit)
	}
}

// release ends what admit began.
func (s *Server) release(session *session) {
	if session.admitted {
		s.admission.Disconnect(session.addr.Addr())
	}
}

// end removes a session. A panic ends only its own session: every message that was acknowledged
// is safe.
func (s *Server) end(session *session) {
	if cause := recover(); cause != nil {
		session.raw.Close() // unless it is closed already
		session.end, session.err = Panicked, fmt.Errorf("smtpd: panic: %v\n%s", cause, debug.Stack())
	}
	s.release(session)
	s.observer.SessionEnded(session.result())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session)
}

// reject replies 421 and closes the connection.
func (s *Server) reject(session *session, over *admission.Reached, implicit bool) {
	session.end = tooManyConnections
	reply := session.overLimit(421, over, tooManyConnections)
	if !implicit {
		session.noteReply(command{verb: connecting}, reply)
	}
	s.turnAway(session.conn, reply, implicit)
}

// Shutdown closes the listeners and lets each session finish its current message, then
// replies 421 and ends it. It waits until all sessions have ended. When ctx is done, it
// closes the remaining ones and returns the cause.
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
	s.draining.Store(true)
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
