package test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A step is a point in the dialogue at which a backend can misbehave.
type step string

const (
	atGreeting step = "greeting"
	atEHLO     step = "EHLO"
	atMAIL     step = "MAIL"
	atRCPT     step = "RCPT"
	atDATA     step = "DATA"
	inText     step = "text" // behind its first line
	atEnd      step = "end of text"
)

// steps are all of them, in their order.
var steps = []step{atGreeting, atEHLO, atMAIL, atRCPT, atDATA, inText, atEnd}

// A misdeed is what a backend says at a step in place of what it should, and
// what it does then.
type misdeed struct {
	say  string
	then deed
}

// A deed is how a dialogue goes on after a misdeed.
type deed int

const (
	goOn      deed = iota
	leave          // close the connection
	cut            // close it with a reset
	hang           // neither read nor say anything, until the next misdeed is set
	outOfTurn      // say what would be fine at another step, and hang
)

// A backend is an SMTP server that behaves well but for one misdeed at one
// step, and keeps the ids of the letters that it acknowledged.
type backend struct {
	addr   string
	active sync.WaitGroup

	mu      sync.Mutex
	at      step
	misdeed misdeed
	freed   chan struct{} // closed when those who hang may go
	kept    map[string]bool
}

func startBackend(t *testing.T) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: listener.Addr().String(), freed: make(chan struct{}), kept: make(map[string]bool)}
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
		b.behave()
		b.active.Wait()
	})
	return b
}

// misbehave sets the misdeed of the dialogues from now on.
func (b *backend) misbehave(at step, m misdeed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at, b.misdeed = at, m
	close(b.freed)
	b.freed = make(chan struct{})
}

// behave ends all misdeeds.
func (b *backend) behave() { b.misbehave("", misdeed{}) }

// planned is the misdeed for now, and what frees those who hang because of it.
func (b *backend) planned() (step, misdeed, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at, b.misdeed, b.freed
}

// keep notes a text that was acknowledged, if it is a whole letter.
func (b *backend) keep(text string) {
	text = strings.ReplaceAll("\n"+text, "\n..", "\n.")[1:]
	if id, err := newStored(text).whole(); err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.kept[id] = true
	}
}

func (b *backend) has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept[id]
}

// A hearing is one connection to a backend.
type hearing struct {
	backend *backend
	conn    net.Conn
	in      *bufio.Reader
}

func (b *backend) serve(conn net.Conn) {
	defer conn.Close()
	h := &hearing{b, conn, bufio.NewReader(conn)}
	for goes := h.answer(atGreeting, "220 backend ready"); goes; {
		line, err := h.in.ReadString('\n')
		goes = err == nil && h.command(strings.TrimSpace(line))
	}
}

// command answers one command. It reports, as all that follow do, whether the
// dialogue goes on.
func (h *hearing) command(line string) bool {
	verb, _, _ := strings.Cut(line, " ")
	switch verb {
	case "EHLO", "HELO":
		return h.answer(atEHLO, "250-backend\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250 8BITMIME")
	case "MAIL":
		return h.answer(atMAIL, "250 2.1.0 sender ok")
	case "RCPT":
		return h.answer(atRCPT, "250 2.1.5 recipient ok")
	case "DATA":
		if at, _, _ := h.backend.planned(); at == atDATA {
			return h.answer(atDATA, "")
		}
		return h.say("354 go ahead\r\n") && h.text()
	case "QUIT":
		h.say("221 2.0.0 bye\r\n")
		return false
	}
	return h.say("250 2.0.0 ok\r\n")
}

// text takes what follows 354 and answers its end.
func (h *hearing) text() bool {
	at, _, _ := h.backend.planned()
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
	case inText: // that was the answer
		return true
	case atEnd:
		return h.answer(atEnd, "")
	}
	h.backend.keep(text.String())
	return h.say("250 2.0.0 kept\r\n")
}

// answer says what is right at a step, or commits the misdeed that is planned
// for it.
func (h *hearing) answer(at step, right string) bool {
	planned, misdeed, freed := h.backend.planned()
	if planned != at {
		return h.say(right + "\r\n")
	}
	h.say(misdeed.say)
	switch misdeed.then {
	case cut:
		h.conn.(*net.TCPConn).SetLinger(0)
	case outOfTurn:
		h.say(wrongReply(at))
		<-freed
	case hang:
		<-freed
	}
	return misdeed.then == goOn
}

// wrongReply would be a fine one at another step.
func wrongReply(at step) string {
	if at == atGreeting || at == atDATA || at == inText {
		return "250 2.0.0 kept\r\n"
	}
	return "354 go ahead\r\n"
}

func (h *hearing) say(text string) bool {
	_, err := io.WriteString(h.conn, text)
	return err == nil
}
