package sessionticket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/internal/tlsrecord"
)

// spoiler changes the last record of the client's second flight, its Finished.
type spoiler struct {
	net.Conn
	spoil func(seq uint64, record []byte) []byte
}

func (s *spoiler) Write(b []byte) (int, error) {
	if i, seq, ok := lastEncrypted(b); ok && s.spoil != nil {
		b = slices.Concat(b[:i], s.spoil(seq, b[i:]))
		s.spoil = nil
	}
	return s.Conn.Write(b)
}

// lastEncrypted finds the last record of b if that is encrypted, and its number
// among the encrypted ones of b.
func lastEncrypted(b []byte) (at int, seq uint64, ok bool) {
	for i := 0; i < len(b); {
		n, whole := recordLen(b[i:])
		if !whole {
			return 0, 0, false
		}
		if b[i] == tlsrecord.ApplicationData {
			if ok {
				seq++
			}
			at, ok = i, true
		}
		i += n
	}
	return at, seq, ok
}

// spoilers are ways in which a Finished is wrong.
var spoilers = map[string]func(t *testing.T, keys *keyLog) func(seq uint64, record []byte) []byte{
	"wrong Finished": func(t *testing.T, keys *keyLog) func(uint64, []byte) []byte {
		return func(seq uint64, record []byte) []byte {
			s := keys.sealer(t, clientHandshakeSecret)
			content := s.open(t, seq, record)
			content[len(content)-2] ^= 1 // the last byte of verify_data
			return s.seal(seq, content)
		}
	},
	"bad record MAC": func(*testing.T, *keyLog) func(uint64, []byte) []byte {
		return func(_ uint64, record []byte) []byte {
			record = slices.Clone(record)
			record[len(record)-1] ^= 1
			return record
		}
	},
	"a message that is no Finished": func(t *testing.T, keys *keyLog) func(uint64, []byte) []byte {
		return func(seq uint64, record []byte) []byte {
			s := keys.sealer(t, clientHandshakeSecret)
			content := s.open(t, seq, record)
			content[0] = 24 // KeyUpdate, with a body of the wrong length
			return s.seal(seq, content)
		}
	},
}

// spoiled runs a handshake with a wrong Finished. It returns the errors of both sides.
func spoiled(t *testing.T, gate *Gate, far net.Conn, near net.Conn, server, client *tls.Config, how string) (serverErr, clientErr error) {
	t.Helper()
	keys := new(keyLog)
	client = client.Clone()
	client.KeyLogWriter = keys
	done := make(chan error, 1)
	go func() {
		conn := gate.Conn(far)
		done <- tls.Server(conn, gate.Config(server)).Handshake()
		conn.Close()
	}()
	secure := tls.Client(&spoiler{near, spoilers[how](t, keys)}, client)
	_, clientErr = io.ReadAll(secure)
	return <-done, clientErr
}

// After a wrong Finished neither the ticket nor the alert is sent, in each kind of
// handshake. Stock shows what a peer would see without the gate.
func TestNothingIsSentAfterWrongFinished(t *testing.T) {
	for how := range spoilers {
		for _, test := range handshakeCases {
			if !test.isTLS13() {
				continue
			}
			for _, mode := range []Mode{FirstWrite, OwnWrite, Stock} {
				t.Run(how+"/"+test.name+"/"+mode.String(), func(t *testing.T) {
					t.Parallel() // each waits for settle
					server, client := test.configs(t)
					var announced int
					near, far := tcp(t)
					noteLabels(server, func(int) { announced = far.count() })
					gate := &Gate{Mode: mode, OnBypass: func(reason error) { t.Error(reason) }}
					serverErr, clientErr := spoiled(t, gate, far, near, server, client, how)
					if serverErr == nil {
						t.Error("the server took the Finished")
					}
					after := len(far.from(announced))
					if mode == Stock {
						if after < 2 || !strings.Contains(clientErr.Error(), "remote error: tls: ") {
							t.Errorf("stock wrote %d times after the ticket was made, and its client saw %v", after, clientErr)
						}
						return
					}
					want := 1 // the flight
					if test.late {
						want = 0
					}
					if after != want || clientErr != nil && !errors.Is(clientErr, io.ErrUnexpectedEOF) {
						t.Errorf("%d writes after the ticket was made, want %d; client saw %v, want the end\n%s", after, want, clientErr, far)
					}
				})
			}
		}
	}
}

// A server may refuse in VerifyConnection before it has read the client's Finished.
func TestNothingIsSentAfterVerifyConnectionRefused(t *testing.T) {
	server, client := configs(testcert.New(t, testcert.Options{}))
	refused := errors.New("refused")
	server.VerifyConnection = func(tls.ConnectionState) error { return refused }
	near, far := tcp(t)
	done := make(chan error, 1)
	gate := new(Gate)
	go func() {
		conn := gate.Conn(far)
		done <- tls.Server(conn, gate.Config(server)).Handshake()
		conn.Close()
	}()
	io.ReadAll(tls.Client(near, client))
	if err := <-done; err != refused {
		t.Errorf("handshake gave %v", err)
	}
	if far.count() != 1 {
		t.Errorf("server wrote\n%swant the flight alone", far)
	}
}

// A server that goes on in plaintext after a failed handshake never sends the ticket.
func TestPlaintextAfterFailedHandshakeDiscardsTheTicket(t *testing.T) {
	for _, mode := range []Mode{FirstWrite, OwnWrite} {
		server, client := configs(testcert.New(t, testcert.Options{}))
		client.RootCAs = nil // so the client answers with an alert
		near, far := tcp(t)
		gate := &Gate{Mode: mode}
		conn := gate.Conn(far)
		go tls.Client(near, client).Handshake()
		if err := tls.Server(conn, gate.Config(server)).Handshake(); err == nil {
			t.Fatal("handshake succeeded")
		}
		before := far.count()
		near.Write([]byte("QUIT\r\n"))
		conn.Read(make([]byte, 64))
		if _, err := conn.Write([]byte("550 5.7.0 no\r\n")); err != nil {
			t.Error(err)
		}
		if after := far.from(before); len(after) != 1 || string(after[0]) != "550 5.7.0 no\r\n" {
			t.Errorf("%s: server wrote %q after the handshake", mode, after)
		}
	}
}
