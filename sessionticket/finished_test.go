package sessionticket

import (
	"crypto/tls"
	"errors"
	"fmt"
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

// spoilers are ways in which a client's last record surprises the server.
var spoilers = map[string]func(s *sealer, seq uint64, finished []byte) []byte{
	"wrong verify_data": func(s *sealer, seq uint64, finished []byte) []byte {
		finished[len(finished)-2] ^= 1
		return s.seal(seq, finished)
	},
	"wrong record: its tag": func(s *sealer, seq uint64, finished []byte) []byte {
		record := s.seal(seq, finished)
		record[len(record)-1] ^= 1
		return record
	},
	"wrong record: of no type": func(s *sealer, seq uint64, _ []byte) []byte {
		return s.seal(seq, make([]byte, 40))
	},
	"wrong record: of an unknown type": func(s *sealer, seq uint64, finished []byte) []byte {
		finished[len(finished)-1] = 99
		return s.seal(seq, finished)
	},
	"wrong record: too long": func(*sealer, uint64, []byte) []byte {
		return []byte{tlsrecord.ApplicationData, 3, 3, 0xff, 0xff}
	},
	"wrong record: in plaintext": func(_ *sealer, _ uint64, finished []byte) []byte {
		message := finished[:len(finished)-1]
		return append([]byte{tlsrecord.Handshake, 3, 3, 0, byte(len(message))}, message...)
	},
	"empty records": func(s *sealer, seq uint64, _ []byte) []byte {
		var list []byte
		for i := range uint64(40) { // more than crypto/tls takes
			list = append(list, s.seal(seq+i, []byte{tlsrecord.ApplicationData})...)
		}
		return list
	},
	"empty handshake record": func(s *sealer, seq uint64, _ []byte) []byte {
		return s.seal(seq, []byte{tlsrecord.Handshake})
	},
	"trailing byte in the message": func(s *sealer, seq uint64, finished []byte) []byte {
		finished = slices.Insert(finished, len(finished)-1, 0)
		finished[3]++
		return s.seal(seq, finished)
	},
	"trailing byte in the record": func(s *sealer, seq uint64, finished []byte) []byte {
		return s.seal(seq, slices.Insert(finished, len(finished)-1, 0))
	},
	"trailing message in the record": func(s *sealer, seq uint64, finished []byte) []byte {
		return s.seal(seq, slices.Insert(finished, len(finished)-1, 24, 0, 0, 1, 0)) // KeyUpdate
	},
	"second EncryptedExtensions": func(s *sealer, seq uint64, _ []byte) []byte {
		return s.seal(seq, []byte{8, 0, 0, 2, 0, 0, tlsrecord.Handshake})
	},
	"KeyUpdate in its place": func(s *sealer, seq uint64, _ []byte) []byte {
		return s.seal(seq, []byte{24, 0, 0, 1, 0, tlsrecord.Handshake})
	},
	"application data in its place": func(s *sealer, seq uint64, _ []byte) []byte {
		return s.seal(seq, []byte("EHLO a\r\n\x17"))
	},
}

// seen is how a handshake ends for both sides.
type seen struct {
	server, client string // their errors
	ticket         bool   // the client got one
}

// spoiled runs a handshake of a server that is behind the gate if there is one. The client's
// last record is spoiled; with an empty name it is not.
func spoiled(t *testing.T, gate *Gate, server, client *tls.Config, how string) (seen, *wire) {
	t.Helper()
	keys := new(keyLog)
	client = client.Clone()
	client.KeyLogWriter = keys
	client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	near, far := tcp(t)
	var below net.Conn = far
	if gate != nil {
		below, server = gate.Conn(far), gate.Config(server)
	}
	serverErr := make(chan error, 1)
	go func() {
		serverErr <- tls.Server(below, server).Handshake()
		far.Conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, far) // a close would be a reset if there are unread bytes
	}()
	spoil := spoilers[how]
	secure := tls.Client(&spoiler{near, func(seq uint64, record []byte) []byte {
		if spoil == nil {
			return record
		}
		s := keys.sealer(t, clientHandshakeSecret)
		return spoil(s, seq, s.open(t, seq, record))
	}}, client)
	_, clientErr := io.ReadAll(secure)
	near.Close()
	_, ticket := client.ClientSessionCache.Get(client.ServerName)
	return seen{fmt.Sprint(<-serverErr), fmt.Sprint(clientErr), ticket}, far
}

// After a surprise in place of the Finished a client sees the same as without the gate: the
// alert, and before it the ticket, which record numbers demand.
func TestClientSeesTheAlertAsWithoutTheGate(t *testing.T) {
	for how := range spoilers {
		for _, test := range handshakeCases {
			if !test.isTLS13() {
				continue
			}
			t.Run(how+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				server, client := test.configs(t)
				compareWithBare(t, server, client, how)
			})
		}
	}
}

// A server may refuse in VerifyConnection before it has read the client's Finished.
func TestClientSeesTheAlertOfVerifyConnection(t *testing.T) {
	server, client := configs(testcert.New(t, testcert.Options{}))
	server.VerifyConnection = func(tls.ConnectionState) error { return errors.New("refused") }
	compareWithBare(t, server, client, "")
}

// compareWithBare runs a handshake that fails, without the gate and in each mode.
func compareWithBare(t *testing.T, server, client *tls.Config, how string) {
	t.Helper()
	want, _ := spoiled(t, nil, server, client, how)
	if want.server == "<nil>" || !strings.Contains(want.client, "remote error: tls: ") {
		t.Errorf("without the gate: %+v, want an alert", want)
	}
	for _, mode := range []Mode{OwnWrite, FirstWrite, NoTicket, Stock} {
		gate := &Gate{Mode: mode, OnBypass: func(reason error) { t.Error(reason) }}
		got, far := spoiled(t, gate, server, client, how)
		want := want
		want.ticket = want.ticket && mode != NoTicket
		if got != want {
			t.Errorf("%s: %+v, want as without the gate %+v\n%s", mode, got, want, far)
		}
	}
}

// Ticket and alert share a write in the modes that hold the ticket.
func TestTicketAndAlertAreOneWrite(t *testing.T) {
	server, client := configs(testcert.New(t, testcert.Options{}))
	for _, mode := range []Mode{OwnWrite, FirstWrite} {
		_, far := spoiled(t, &Gate{Mode: mode}, server, client, "wrong verify_data")
		if last := far.from(far.count() - 1); !slices.Equal(records(last[0]), append(ticketRecords(testLabel), "23:19")) {
			t.Errorf("%s: server wrote\n%s", mode, far)
		}
	}
}

// A server that goes on in plaintext after a failed handshake never sends the ticket.
func TestPlaintextAfterFailedHandshakeDiscardsTheTicket(t *testing.T) {
	for _, mode := range []Mode{OwnWrite, FirstWrite} {
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
