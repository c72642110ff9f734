package sessionticket

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"postern/internal/testcert"
	"postern/internal/tlsrecord"
)

func TestFindTicket(t *testing.T) {
	ccs := []byte{tlsrecord.ChangeCipherSpec, 3, 3, 0, 1, 1}
	finished := record(36)
	for name, test := range map[string]struct {
		written     [][]byte // joined to one write
		due         int
		at, content int
		ok          bool
	}{
		"flight":                   {[][]byte{ccs, finished, record(122)}, 122, 6 + 58, 122, true},
		"flight, ticket in two":    {[][]byte{finished, record(tlsrecord.MaxPlaintext), record(9)}, tlsrecord.MaxPlaintext + 9, 58, tlsrecord.MaxPlaintext + 9, true},
		"flight, one record full":  {[][]byte{finished, record(tlsrecord.MaxPlaintext)}, tlsrecord.MaxPlaintext, 58, tlsrecord.MaxPlaintext, true},
		"flight, one byte less":    {[][]byte{finished, record(tlsrecord.MaxPlaintext - 1)}, tlsrecord.MaxPlaintext - 1, 58, tlsrecord.MaxPlaintext - 1, true},
		"flight, one byte more":    {[][]byte{finished, record(tlsrecord.MaxPlaintext), record(1)}, tlsrecord.MaxPlaintext + 1, 58, tlsrecord.MaxPlaintext + 1, true},
		"another last byte":        {[][]byte{finished, record(tlsrecord.MaxPlaintext), append([]byte{22}, record(1)[1:]...)}, tlsrecord.MaxPlaintext + 1, 0, 0, false},
		"late":                     {[][]byte{record(122)}, 122, 0, 122, true},
		"late, first of two":       {[][]byte{record(tlsrecord.MaxPlaintext)}, tlsrecord.MaxPlaintext + 9, 0, tlsrecord.MaxPlaintext, true},
		"late, both of two":        {[][]byte{record(tlsrecord.MaxPlaintext), record(9)}, tlsrecord.MaxPlaintext + 9, 0, 0, false},
		"nothing":                  {nil, 122, 0, 0, false},
		"other length":             {[][]byte{finished, record(123)}, 122, 0, 0, false},
		"in one record with more":  {[][]byte{ccs, record(36 + 122)}, 122, 0, 0, false},
		"not the last":             {[][]byte{record(122), finished}, 122, 0, 0, false},
		"cut at its end":           {[][]byte{finished, record(122)[:100]}, 122, 0, 0, false},
		"cut at the flight's end":  {[][]byte{finished[:50], record(122)}, 122, 0, 0, false},
		"cut at the flight's head": {[][]byte{finished[3:], record(122)}, 122, 0, 0, false},
		"split otherwise":          {[][]byte{finished, record(tlsrecord.MaxPlaintext - 1), record(10)}, tlsrecord.MaxPlaintext + 9, 0, 0, false},
		"late, of another type":    {[][]byte{append([]byte{22}, record(122)[1:]...)}, 122, 0, 0, false},
		"in plaintext":             {[][]byte{finished, append([]byte{22}, record(122)[1:]...)}, 122, 0, 0, false},
		"no records":               {[][]byte{bytes.Repeat([]byte("220 "), 99)}, 122, 0, 0, false},
	} {
		b := slices.Concat(test.written...)
		at, content, ok := findTicket(b, test.due)
		if at != test.at || content != test.content || ok != test.ok {
			t.Errorf("%s: %d, %d, %v; want %d, %d, %v", name, at, content, ok, test.at, test.content, test.ok)
		}
	}
}

// regrouper is a conn that hands on what is written in pieces of another size, as a
// new crypto/tls might.
type regrouper struct {
	net.Conn
	size int
}

func (r regrouper) NetConn() net.Conn { return r.Conn }

func (r regrouper) Write(b []byte) (int, error) {
	sent := 0
	for piece := range slices.Chunk(b, r.size) {
		n, err := r.Conn.Write(piece)
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// When the layout is another, clients connect and resume as with a stock server, and
// the gate reports it once, however many connections there are.
func TestOtherLayoutPassesAndIsReportedOnce(t *testing.T) {
	for _, mode := range []Mode{OwnWrite, FirstWrite} {
		for _, size := range []int{1, 100, 1000} {
			var mu sync.Mutex
			var reasons []error
			gate := &Gate{Mode: mode, OnBypass: func(reason error) {
				mu.Lock()
				defer mu.Unlock()
				reasons = append(reasons, reason)
			}}
			base, client := configs(testcert.New(t, testcert.Options{}))
			server := gate.Config(base)
			for _, resumed := range []bool{false, true, true} {
				near, far := tcp(t)
				got, err := greet(tls.Server(regrouper{gate.Conn(far), size}, server), tls.Client(near, client))
				if err != nil || got.DidResume != resumed {
					t.Errorf("size %d: DidResume %v, error %v", size, got.DidResume, err)
				}
			}
			var layout *LayoutError
			if len(reasons) != 1 || !errors.As(reasons[0], &layout) || layout.Ticket != newSessionTicketLen(testLabel) {
				t.Errorf("size %d: OnBypass got %v", size, reasons)
			}
		}
	}
}

// What was held of a late ticket is sent when the rest does not follow as expected.
func TestLateTicketThatChangesMidwayPasses(t *testing.T) {
	s := new(scripted)
	c := &conn{Conn: s}
	calls := 0
	c.expect(&Gate{OnBypass: func(error) { calls++ }}, context.Background(), tlsrecord.MaxPlaintext+9, false)
	first, other := record(tlsrecord.MaxPlaintext), record(tlsrecord.MaxPlaintext-5)
	c.Write(first)
	if s.calls != 0 {
		t.Fatal("the first record was not held")
	}
	if n, err := c.Write(other); n != len(other) || err != nil {
		t.Errorf("Write gave %d, %v", n, err)
	}
	if !bytes.Equal(s.taken, slices.Concat(first, other)) || calls != 1 || c.hold.Load() != nil {
		t.Errorf("%d bytes left, %d calls", len(s.taken), calls)
	}
}

func TestLayoutErrorListsRecordsWithinBounds(t *testing.T) {
	e := newLayoutError(bytes.Repeat(record(1), 1000), 122)
	if len(e.Records) != 32 || e.Records[0] != "23:18" {
		t.Errorf("%d records, the first %s", len(e.Records), e.Records[0])
	}
	e = newLayoutError(slices.Concat(record(1), []byte{20, 3, 3, 0, 1, 1}, []byte{23, 3, 3, 0, 0}), 122)
	if want := []string{"23:18", "20:1", "23:0"}; !slices.Equal(e.Records, want) {
		t.Errorf("records %q, want %q", e.Records, want)
	}
	if e := newLayoutError(append(record(1), 23), 122); len(e.Records) != 2 || e.Records[1] != "1 bytes of an incomplete record" {
		t.Errorf("records %q, want the last byte too", e.Records)
	}
	e = newLayoutError(append(record(1), "220 "...), 122)
	if want := "sessionticket: crypto/tls wrote records [23:18 4 bytes of an incomplete record], " +
		"expected a ticket of 122 bytes in records of its own at their end; it was sent as written"; e.Error() != want {
		t.Errorf("error says %q, want %q", e, want)
	}
}

// A record has a type of TLS 1.3 and at most 2^14 + 256 bytes (RFC 8446, Section 5).
func TestRecordsOfAFlight(t *testing.T) {
	for _, c := range []struct {
		contentType byte
		length      int
		ok          bool
	}{
		{20, 1, true}, {21, 19, true}, {22, 90, true}, {23, 17, true}, {23, 0, true}, {23, 16640, true},
		{19, 17, false}, {24, 17, false}, {23, 16641, false},
	} {
		b := append([]byte{c.contentType, 3, 3, byte(c.length >> 8), byte(c.length)}, make([]byte, c.length)...)
		if n, ok := recordLen(b); ok != c.ok || ok && n != len(b) {
			t.Errorf("type %d with %d bytes: %d, %v", c.contentType, c.length, n, ok)
		}
		if _, ok := recordLen(b[:len(b)-1]); ok {
			t.Errorf("type %d with %d bytes: complete without its last byte", c.contentType, c.length)
		}
	}
}
