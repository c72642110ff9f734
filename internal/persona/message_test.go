package persona_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/persona"
)

func TestSendsOneMessageOnRequestOnly(t *testing.T) {
	s := newServer(t)
	at := target(s.start(t))
	for _, p := range persona.All() {
		p.Run(t.Context(), at)
	}
	if strings.Contains(s.heard(), "MAIL") || len(s.messages) != 0 {
		t.Fatalf("unrequested mail: %s", s.heard())
	}
	at.Deliver = &persona.TestMessage{From: "", To: "user@localhost"}
	v := find(t, "early-ticket").Run(t.Context(), at)
	if !v.Delivered || !v.Completed || len(s.messages) != 1 || !strings.Contains(s.messages[0], "To: <user@localhost>\r\n") {
		t.Fatalf("delivered %v, messages %q: %v", v.Delivered, s.messages, v.Err)
	}
	if v.Transcript.Use != handshake.UseMail {
		t.Errorf("the transcript's use is %v", v.Transcript.Use)
	}
	if heard := s.heard(); !strings.HasSuffix(heard, "MAIL FROM:<>, RCPT TO:<user@localhost>, DATA, QUIT") {
		t.Errorf("the server heard %s", heard)
	}
}

func TestTargetCannotInjectCommands(t *testing.T) {
	dialled := errors.New("dialled")
	for _, tt := range []struct {
		change func(*persona.Target)
		want   string
	}{
		{func(at *persona.Target) { at.EHLO = "a\r\nMAIL" }, "EHLO name"},
		{func(at *persona.Target) { at.EHLO = "a b" }, "EHLO name"},
		{func(at *persona.Target) { at.Addr = "mx.test" }, "want host:port"},
		{func(at *persona.Target) { at.Deliver = new(persona.TestMessage) }, "no recipient"},
		{func(at *persona.Target) { at.Deliver = &persona.TestMessage{To: "a@b>\r\nDATA"} }, "test message: address"},
		{func(at *persona.Target) { at.Deliver = &persona.TestMessage{From: "a b", To: "a@b"} }, "test message: address"},
		{func(*persona.Target) {}, "dialled"},
	} {
		at := persona.Target{Addr: "mx.test:25", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, dialled }}
		tt.change(&at)
		v := find(t, "healthy-go").Run(t.Context(), at)
		if v.Err == nil || !strings.Contains(v.Err.Error(), tt.want) {
			t.Errorf("%v, want %q", v.Err, tt.want)
		}
	}
}

func TestRefusedMessageIsAnError(t *testing.T) {
	s := newServer(t)
	s.noRecipients = true
	at := target(s.start(t))
	at.Deliver = &persona.TestMessage{To: "nobody@localhost"}
	v := find(t, "healthy-go").Run(t.Context(), at)
	if !v.Completed || v.Delivered || v.Err == nil || !strings.Contains(v.Err.Error(), `answered RCPT with "550`) {
		t.Errorf("completed %v, delivered %v: %v", v.Completed, v.Delivered, v.Err)
	}
	if heard := s.heard(); !strings.HasSuffix(heard, "QUIT") {
		t.Errorf("no QUIT: %s", heard)
	}
}
