package test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A step is a point in the conversation at which a backend can fail.
type step string

const (
	atGreeting step = "greeting"
	atEHLO     step = "EHLO"
	atMAIL     step = "MAIL"
	atRCPT     step = "RCPT"
	atDATA     step = "DATA"
	inText     step = "text" // after its first line
	atEnd      step = "end of text"
)

// steps are all of them, in order.
var steps = []step{atGreeting, atEHLO, atMAIL, atRCPT, atDATA, inText, atEnd}

// A fault is what a backend replies at a step instead of what it should, and what it
// does then.
type fault struct {
	reply string
	then  action
}

// An action is how the conversation goes on after a fault.
type action int

const (
	goOn       action = iota
	disconnect        // close the connection
	reset             // close it with a reset
	hang              // neither read nor write, until the next fault is set
	unexpected        // send a reply that would be right at another step, and hang
)

// A backend is an SMTP server with one fault at one step. It keeps the ids of the
// messages that it acknowledged.
type backend struct {
	addr   string
	active sync.WaitGroup

	mu       sync.Mutex
	at       step
	fault    fault
	released chan struct{} // closed when connections that hang may end
	accepted map[string]bool
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: listener.Addr().String(), released: make(chan struct{}), accepted: make(map[string]bool)}
	b.active.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			b.active.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		b.clearFault()
		b.active.Wait()
	})
	return b
}

// setFault sets the fault of conversations from now on.
func (b *backend) setFault(at step, m fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at, b.fault = at, m
	close(b.released)
	b.released = make(chan struct{})
}

// clearFault makes the backend behave.
func (b *backend) clearFault() { b.setFault("", fault{}) }

// currentFault returns the fault, its step, and what is closed when connections that
// hang because of it may end.
func (b *backend) currentFault() (step, fault, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at, b.fault, b.released
}

// accept notes a text that is acknowledged, if it is a whole message.
func (b *backend) accept(text string) {
	text = strings.ReplaceAll("\n"+text, "\n..", "\n.")[1:]
	if id, err := newStored(text).whole(); err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.accepted[id] = true
	}
}

func (b *backend) has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted[id]
}

// A backendConn is one connection to a backend.
type backendConn struct {
	backend *backend
	conn    net.Conn
	in      *bufio.Reader
}

func (b *backend) serve(conn net.Conn) {
	defer conn.Close()
	h := &backendConn{b, conn, bufio.NewReader(conn)}
	for goes := h.answer(atGreeting, "220 backend ready"); goes; {
		line, err := h.in.ReadString('\n')
		goes = err == nil && h.command(strings.TrimSpace(line))
	}
}

// command replies to one command. Like the methods below, it reports whether the
// conversation goes on.
func (h *backendConn) command(line string) bool {
	verb, _, _ := strings.Cut(line, " ")
	switch verb {
	case "EHLO", "HELO":
		return h.answer(atEHLO, "250-backend\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250 8BITMIME")
	case "MAIL":
		return h.answer(atMAIL, "250 2.1.0 sender ok")
	case "RCPT":
		return h.answer(atRCPT, "250 2.1.5 recipient ok")
	case "DATA":
		if at, _, _ := h.backend.currentFault(); at == atDATA {
			return h.answer(atDATA, "")
		}
		return h.send("354 go ahead\r\n") && h.text()
	case "QUIT":
		h.send("221 2.0.0 bye\r\n")
		return false
	}
	return h.send("250 2.0.0 ok\r\n")
}

// text reads the text after 354 and replies to its end.
func (h *backendConn) text() bool {
	at, _, _ := h.backend.currentFault()
	var text strings.Builder
	for {
		line, err := h.in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		if at == inText && text.Len() == 0 && !h.answer(inText, "") {
			return false
		}
		text.WriteString(line)
	}
	switch at {
	case inText: // the reply is sent
		return true
	case atEnd:
		return h.answer(atEnd, "")
	}
	h.backend.accept(text.String())
	return h.send("250 2.0.0 accepted\r\n")
}

// answer sends the right reply at a step, or does the fault that is set for it.
func (h *backendConn) answer(at step, right string) bool {
	faulty, fault, released := h.backend.currentFault()
	if faulty != at {
		return h.send(right + "\r\n")
	}
	h.send(fault.reply)
	switch fault.then {
	case reset:
		h.conn.(*net.TCPConn).SetLinger(0)
	case unexpected:
		h.send(wrongReply(at))
		<-released
	case hang:
		<-released
	}
	return fault.then == goOn
}

// wrongReply returns a reply that would be right at another step.
func wrongReply(at step) string {
	if at == atGreeting || at == atDATA || at == inText {
		return "250 2.0.0 accepted\r\n"
	}
	return "354 go ahead\r\n"
}

func (h *backendConn) send(text string) bool {
	_, err := io.WriteString(h.conn, text)
	return err == nil
}
