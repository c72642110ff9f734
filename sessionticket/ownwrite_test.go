package sessionticket

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A client that writes much before it reads must not stop a server that reads: over
// a pipe without a buffer the ticket waits for the client, and the Read does not.
func TestOwnWriteDoesNotDelayReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := shakenOverPipe(t, OwnWrite, nil)
		sent := strings.Repeat("x", 100<<10)
		go func() {
			io.WriteString(p.client, sent)
			p.client.Read(make([]byte, 1)) // and only then takes the ticket
		}()
		if _, err := io.ReadFull(p.server, make([]byte, len(sent))); err != nil {
			t.Fatal(err)
		}
		if _, err := p.server.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.check(t, ticketRecords(p.label), []string{"23:18"})
		p.near.Close()
		p.far.Close()
	})
}

// shakenOverPipe is shaken over a net.Pipe, for tests in a synctest bubble.
func shakenOverPipe(t *testing.T, mode Mode, change func(server, client *tls.Config)) *pair {
	near, far := net.Pipe()
	return shaken(t, mode, near, far, change)
}

// The ticket of OwnWrite does not wait for the server to read or write.
func TestOwnWriteIsSentWhenTheHandshakeReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := shakenOverPipe(t, OwnWrite, nil)
		go p.client.Read(make([]byte, 1))
		synctest.Wait()
		p.check(t, ticketRecords(p.label))
		p.near.Close()
		p.far.Close()
	})
}

// A client that never reads costs the server its deadline, as
// without the gate, and Close gives up after the five seconds of crypto/tls.
func TestClientThatNeverReads(t *testing.T) {
	for _, mode := range []Mode{OwnWrite, FirstWrite} {
		synctest.Test(t, func(t *testing.T) {
			p := shakenOverPipe(t, mode, nil)
			read := make(chan error, 1)
			p.server.SetReadDeadline(time.Now().Add(time.Minute))
			go func() {
				_, err := p.server.Read(make([]byte, 1))
				read <- err
			}()
			if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read gave %v", err)
			}
			start := time.Now()
			p.server.SetWriteDeadline(start.Add(time.Second))
			if _, err := p.server.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write gave %v", err)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("Write took %v", took)
			}
			p.server.Close()
			p.near.Close()
		})
	}
}

// A write deadline that passes before the client reads holds the ticket, and the next write
// sends it.
func TestOldWriteDeadlineDoesNotLoseTheTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := shakenOverPipe(t, OwnWrite, nil)
		p.server.SetWriteDeadline(time.Now())
		go p.server.Read(make([]byte, 1))
		synctest.Wait()
		p.server.SetWriteDeadline(time.Time{})
		go p.server.Write([]byte("x"))
		got := make([]byte, 1)
		if _, err := p.client.Read(got); err != nil || string(got) != "x" {
			t.Errorf("client read %q, %v", got, err)
		}
		p.near.Close()
		p.far.Close()
	})
}

// The ticket is sent when the handshake returns if the client can have sent its Finished; not
// on the bytes of a handshake that failed.
func TestReturnOfTheHandshakeSendsTheTicketOnlyAfterTheClientsFinished(t *testing.T) {
	flight, ticket := record(36), record(newSessionTicketLen(testLabel))
	for name, test := range map[string]struct {
		written  []byte // by crypto/tls
		received int    // bytes from the client inside the handshake
		broken   error  // what reading gave then
		returned bool
		want     bool
	}{
		"after the Finished":          {slices.Concat(flight, ticket), finishedRecordLen, nil, true, true},
		"before the handshake's end":  {slices.Concat(flight, ticket), finishedRecordLen, nil, false, false},
		"after an alert":              {slices.Concat(flight, ticket), alertRecordLen, nil, true, false},
		"after a close":               {slices.Concat(flight, ticket), finishedRecordLen, io.EOF, true, false},
		"late, Finished read before":  {ticket, 0, nil, true, true},
		"late, inside the handshake":  {ticket, 0, nil, false, false},
		"late, after a close":         {ticket, 0, io.EOF, true, false},
		"flight that was not written": {nil, finishedRecordLen, nil, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := new(scripted)
			c := &conn{Conn: s}
			handshake, end := context.WithCancel(t.Context())
			defer end()
			c.expect(new(Gate), handshake, testLabel, true)
			c.Write(test.written)
			s.taken, s.calls = nil, 0
			c.Read(make([]byte, test.received))
			if s.broken = test.broken; s.broken != nil {
				c.Read(make([]byte, 1))
			}
			if test.returned {
				end()
			}
			synctest.Wait()
			if got := bytes.Equal(s.taken, ticket); got != test.want || !got && s.calls > 0 {
				t.Errorf("%s: sent %v (%d bytes), want %v", name, got, len(s.taken), test.want)
			}
		})
	}
}
