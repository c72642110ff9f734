package sessionticket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"testing"

	"postern/internal/tlsrecord"
)

// scripted is a connection with scripted writes: each takes the next of ends,
// and once those are used up everything is taken.
type scripted struct {
	net.Conn
	mu    sync.Mutex
	ends  []end
	taken []byte
	calls int

	broken error // of reads
}

// end is how a write ends: after n bytes, with an error.
type end struct {
	n   int
	err error
}

func (s *scripted) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if len(s.ends) == 0 {
		s.taken = append(s.taken, b...)
		return len(b), nil
	}
	e := s.ends[0]
	s.ends = s.ends[1:]
	s.taken = append(s.taken, b[:e.n]...)
	return e.n, e.err
}

// Read fills b, unless reads are broken.
func (s *scripted) Read(b []byte) (int, error) {
	if s.broken != nil {
		return 0, s.broken
	}
	return len(b), nil
}

// record makes an encrypted record with that much content.
func record(content int) []byte {
	n := content + recordOverhead
	b := bytes.Repeat([]byte{byte(content)}, tlsrecord.HeaderLen+n)
	copy(b, []byte{tlsrecord.ApplicationData, 3, 3, byte(n >> 8), byte(n)})
	return b
}

const testLabel = 105 // what crypto/tls makes without client certificates

// holding returns a conn over s that holds a ticket, the ticket's record, and what
// ends the handshake.
func holding(t *testing.T, s *scripted, own bool) (c *conn, ticket []byte, conclude func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	c = &conn{Conn: s}
	c.expect(new(Gate), ctx, testLabel, own)
	flight := record(36)
	ticket = record(newSessionTicketLen(testLabel))
	if n, err := c.Write(slices.Concat(flight, ticket)); n != len(flight)+len(ticket) || err != nil {
		t.Fatalf("writing the flight gave %d, %v", n, err)
	}
	if !bytes.Equal(s.taken, flight) {
		t.Fatalf("%d bytes of a flight of %d left", len(s.taken), len(flight))
	}
	s.taken, s.calls = nil, 0
	return c, ticket, cancel
}

func TestFirstWriteIsOneWrite(t *testing.T) {
	s := new(scripted)
	c, ticket, conclude := holding(t, s, false)
	conclude()
	reply := record(100)
	for range 2 {
		if n, err := c.Write(reply); n != len(reply) || err != nil {
			t.Fatalf("Write gave %d, %v", n, err)
		}
	}
	if want := slices.Concat(ticket, reply, reply); !bytes.Equal(s.taken, want) || s.calls != 2 {
		t.Errorf("%d writes of %d bytes, want 2 of %d", s.calls, len(s.taken), len(want))
	}
}

// Whatever part of the ticket a failing write sends, the rest is sent before the next
// bytes, and the caller gets the count of its own bytes only.
func TestTicketSurvivesPartialWrites(t *testing.T) {
	reply := record(100)
	whole := recordsLen(newSessionTicketLen(testLabel))
	for _, own := range []bool{false, true} {
		for taken := 0; taken <= whole; taken++ {
			s := new(scripted)
			c, ticket, conclude := holding(t, s, own)
			conclude()
			s.ends = []end{{taken, os.ErrDeadlineExceeded}, {0, os.ErrDeadlineExceeded}}
			n, err := c.Write(reply)
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("own %v: after %d bytes Write gave %d, %v", own, taken, n, err)
			}
			s.ends = nil
			if n, err := c.Write(reply); n != len(reply) || err != nil {
				t.Fatalf("own %v: the next Write gave %d, %v", own, n, err)
			}
			if !bytes.Equal(s.taken, slices.Concat(ticket, reply)) {
				t.Fatalf("own %v: after %d bytes of the ticket the rest did not follow", own, taken)
			}
		}
	}
}

func TestPartialWriteBeyondTheTicketCountsTheCallersBytes(t *testing.T) {
	s := new(scripted)
	c, ticket, conclude := holding(t, s, false)
	conclude()
	s.ends = []end{{len(ticket) + 7, net.ErrClosed}}
	if n, err := c.Write(record(100)); n != 7 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write gave %d, %v; want 7, %v", n, err, net.ErrClosed)
	}
	if c.hold.Load() != nil {
		t.Error("the ticket is still held")
	}
}

// Inside the handshake two bytes are an alert. It shares a write with the ticket, without
// which the client could not decrypt it.
func TestAlertInTheHandshakeTakesTheTicketAlong(t *testing.T) {
	for _, own := range []bool{false, true} {
		s := new(scripted)
		c, ticket, conclude := holding(t, s, own)
		if n, err := c.Write(record(2)); n != len(record(2)) || err != nil {
			t.Errorf("own %v: the alert's Write gave %d, %v", own, n, err)
		}
		conclude()
		c.Write([]byte("421\r\n"))
		if want := slices.Concat(ticket, record(2), []byte("421\r\n")); !bytes.Equal(s.taken, want) || s.calls != 2 {
			t.Errorf("own %v: %d writes of %d bytes, want 2 of %d", own, s.calls, len(s.taken), len(want))
		}
	}
}

// After the handshake they are data or a close_notify.
func TestOwnWriteOfTwoBytesFollowsTheTicket(t *testing.T) {
	s := new(scripted)
	c, ticket, conclude := holding(t, s, true)
	conclude()
	c.Write(record(2))
	if !bytes.Equal(s.taken, slices.Concat(ticket, record(2))) || s.calls != 2 {
		t.Errorf("%d writes of %d bytes", s.calls, len(s.taken))
	}
}

// Other goroutines may write as soon as the handshake is complete, in any number.
func TestConcurrentWritesFollowTheTicket(t *testing.T) {
	for _, own := range []bool{false, true} {
		s := new(scripted)
		c, ticket, conclude := holding(t, s, own)
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() { c.Write(record(3)) })
		}
		conclude()
		writers.Wait()
		want := slices.Concat(ticket, bytes.Repeat(record(3), 8))
		if !bytes.Equal(s.taken, want) {
			t.Errorf("own %v: %d bytes left, want %d with the ticket first", own, len(s.taken), len(want))
		}
	}
}

// A conn that breaks the contract of io.Writer does not make the gate lose bytes.
func TestShortWriteWithoutErrorIsOne(t *testing.T) {
	for _, own := range []bool{false, true} {
		s := new(scripted)
		c, _, conclude := holding(t, s, own)
		conclude()
		s.ends = []end{{5, nil}}
		if n, err := c.Write(record(100)); n != 0 || err != io.ErrShortWrite {
			t.Errorf("own %v: Write gave %d, %v", own, n, err)
		}
	}
}

func TestErrorOfTheFlightIsTheCallers(t *testing.T) {
	s := &scripted{ends: []end{{3, net.ErrClosed}}}
	c := &conn{Conn: s}
	c.expect(new(Gate), t.Context(), testLabel, false)
	if n, err := c.Write(slices.Concat(record(36), record(newSessionTicketLen(testLabel)))); n != 3 || err != net.ErrClosed {
		t.Errorf("Write gave %d, %v", n, err)
	}
}

func TestEmptyWriteSendsNothing(t *testing.T) {
	s := new(scripted)
	c, _, conclude := holding(t, s, false)
	conclude()
	if n, err := c.Write(nil); n != 0 || err != nil || len(s.taken) != 0 {
		t.Errorf("Write gave %d, %v, and %d bytes left", n, err, len(s.taken))
	}
}

func TestNetConnIsTheConnBelow(t *testing.T) {
	s := new(scripted)
	if got := new(Gate).Conn(s).(interface{ NetConn() net.Conn }).NetConn(); got != net.Conn(s) {
		t.Errorf("NetConn gave %v", got)
	}
}
