package sessionticket

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
)

// gated runs one handshake through the gate and returns what was written below it.
func gated(t *testing.T, gate *Gate, server, client *tls.Config) *stockFlight {
	t.Helper()
	near, far := tcp(t)
	seen := &stockFlight{wire: far, announced: -1}
	noted := server.Clone()
	useKeys(noted, server)
	noteLabels(noted, func(label int) { seen.label, seen.announced = label, far.count() })
	state, err := greet(tls.Server(gate.Conn(far), gate.Config(noted)), tls.Client(near, client))
	if err != nil {
		t.Fatal(err)
	}
	seen.state = state
	return seen
}

// In every kind of handshake the flight ends with the Finished, the ticket is sent
// once, with the first write or before it, and the client resumes with it.
func TestGateHoldsTicketUntilClientFinished(t *testing.T) {
	for _, mode := range []Mode{OwnWrite, FirstWrite} {
		for _, test := range handshakeCases {
			t.Run(mode.String()+"/"+test.name, func(t *testing.T) {
				server, client := test.configs(t)
				gate := &Gate{Mode: mode, OnBypass: func(reason error) { t.Error(reason) }}
				for _, resumed := range []bool{false, true} {
					seen := gated(t, gate, server, client)
					if seen.state.DidResume != resumed {
						t.Fatalf("DidResume is %v, want %v", seen.state.DidResume, resumed)
					}
					if test.isTLS13() {
						seen.checkHeld(t, mode, test.late && !resumed)
					}
				}
			})
		}
	}
}

// checkHeld compares what was sent after the ticket was made with the mode. What the
// server then wrote is a line and a close_notify.
func (s *stockFlight) checkHeld(t *testing.T, mode Mode, late bool) {
	t.Helper()
	after := s.from(s.announced)
	if !late {
		flight := records(after[0])
		if got, want := flight[len(flight)-1], s.finished(); got != want {
			t.Errorf("flight ends with %s, want the Finished, %s:\n%s", got, want, s)
		}
		after = after[1:]
	}
	ticket := ticketRecords(s.label)
	line, closing := []string{"23:23"}, []string{"23:19"}
	want := [][]string{slices.Concat(ticket, line), closing}
	if mode == OwnWrite {
		want = [][]string{ticket, line, closing}
	}
	if !slices.EqualFunc(after, want, func(b []byte, want []string) bool { return slices.Equal(records(b), want) }) {
		t.Errorf("after the flight left\n%swant %v, each in a write of its own", s, want)
	}
}

// TLS 1.2 writes the same with the gate and without.
func TestGateLeavesTLS12AsItIs(t *testing.T) {
	test := handshakeCases[len(handshakeCases)-1]
	if test.isTLS13() {
		t.Fatal("the last case is not TLS 1.2")
	}
	gatedServer, gatedClient := test.configs(t)
	server, client := test.configs(t)
	for range 2 { // full, resumed
		got := gated(t, new(Gate), gatedServer, gatedClient)
		want := stockHandshake(t, server, client)
		if got.state.Version != tls.VersionTLS12 || got.state.DidResume != want.state.DidResume || got.count() != want.count() {
			t.Errorf("gate wrote\n%swant as stock\n%s", got, want)
		}
	}
}

// Before TLS starts, and when it never does, bytes pass unchanged.
func TestBytesBeforeTLSPassUnchanged(t *testing.T) {
	near, far := tcp(t)
	conn := new(Gate).Conn(far)
	sent := []byte("220 mx.example.org\r\n\x16\x03\x01\x17\x03\x03")
	if n, err := conn.Write(sent); n != len(sent) || err != nil {
		t.Fatalf("Write gave %d, %v", n, err)
	}
	got := make([]byte, len(sent))
	if _, err := near.Read(got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("client read %q, %v", got, err)
	}
	near.Write([]byte("EHLO"))
	if n, err := conn.Read(got); string(got[:n]) != "EHLO" || err != nil {
		t.Errorf("server read %q, %v", got[:n], err)
	}
}

func TestModeNames(t *testing.T) {
	for mode, name := range map[Mode]string{
		OwnWrite: "own-write", FirstWrite: "first-write", NoTicket: "no-ticket", TLS12: "tls12", Stock: "stock",
	} {
		text, err := mode.MarshalText()
		if string(text) != name || err != nil || mode.String() != name {
			t.Errorf("mode %d is written %q, %v, %s; want %q", mode, text, err, mode, name)
		}
		got := Mode(99)
		if err := got.UnmarshalText([]byte(name)); err != nil || got != mode {
			t.Errorf("%q is read as %s, %v", name, got, err)
		}
	}
	var p Mode
	if err := p.UnmarshalText([]byte("First-Write")); err == nil || !strings.Contains(err.Error(), "first-write") {
		t.Errorf("reading an unknown name gave %v, want an error with the known ones", err)
	}
	for _, unknown := range []Mode{5, 99} {
		if text, err := unknown.MarshalText(); err == nil || text != nil {
			t.Errorf("an unknown mode was written as %q", text)
		}
	}
	if text := Mode(5).String(); text != "Mode(5)" {
		t.Error(text)
	}
}
