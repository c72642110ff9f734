package sessionticket

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/internal/tlsrecord"
)

// lookAt is what to do when the tests of this file fail after a change of Go.
const lookAt = `
The gate expects that crypto/tls writes a TLS 1.3 ticket as the last records of the
server's flight, or after a client certificate in writes of their own, and that the
NewSessionTicket message is newSessionTicketLen bytes. In crypto/tls, look at
handshake, sendServerFinished, sendSessionTicket and readClientCertificate in
handshake_server_tls13.go, and at writeRecordLocked and flush in conn.go; then at
findTicket and newSessionTicketLen in layout.go.`

// A stock server, without the gate, writes what the gate expects of it.
func TestStockServerLaysOutItsFlightAsExpected(t *testing.T) {
	for _, test := range handshakeCases {
		t.Run(test.name, func(t *testing.T) {
			server, client := test.configs(t)
			for _, resumed := range []bool{false, true} {
				late := test.late && !resumed // a resumed session asks for no certificate
				seen := stockHandshake(t, server, client)
				if seen.state.DidResume != resumed {
					t.Fatalf("DidResume is %v in handshake %v", seen.state.DidResume, resumed)
				}
				if test.isTLS13() {
					seen.check(t, late)
				}
			}
		})
	}
}

// stockFlight is what a stock server wrote in one handshake.
type stockFlight struct {
	*wire
	state     tls.ConnectionState
	label     int // length of the ticket's label
	announced int // writes before the ticket was made
}

// stockHandshake runs one handshake of a stock server.
func stockHandshake(t *testing.T, server, client *tls.Config) *stockFlight {
	t.Helper()
	near, far := tcp(t)
	seen := &stockFlight{wire: far, announced: -1}
	stock := server.Clone()
	useKeys(stock, server)
	noteLabels(stock, func(label int) { seen.label, seen.announced = label, far.count() })
	state, err := greet(tls.Server(far, stock), tls.Client(near, client))
	if err != nil {
		t.Fatal(err)
	}
	if seen.announced < 0 {
		t.Fatal("crypto/tls did not call WrapSession." + lookAt)
	}
	seen.state = state
	return seen
}

// check compares the flight with what the gate expects.
func (s *stockFlight) check(t *testing.T, late bool) {
	t.Helper()
	want := ticketRecords(s.label)
	if late {
		s.checkLate(t, want)
		return
	}
	flight := records(s.writes[s.announced])
	before := len(flight) - len(want)
	if before < 3 || !slices.Equal(flight[before:], want) {
		t.Fatalf("flight [%s] does not end with [%s].%s", strings.Join(flight, " "), strings.Join(want, " "), lookAt)
	}
	if got, want := flight[before-1], s.finished(); got != want {
		t.Errorf("record before the ticket is %s, expected a Finished of %s in flight [%s].%s", got, want, strings.Join(flight, " "), lookAt)
	}
	if at, content, ok := findTicket(s.writes[s.announced], newSessionTicketLen(s.label)); !ok ||
		!slices.Equal(records(s.writes[s.announced][at:]), want) || content != newSessionTicketLen(s.label) {
		t.Errorf("findTicket gave %d, %d, %v for flight [%s].%s", at, content, ok, strings.Join(flight, " "), lookAt)
	}
}

func (s *stockFlight) checkLate(t *testing.T, want []string) {
	t.Helper()
	for i, record := range want {
		if got := records(s.writes[s.announced+i]); !slices.Equal(got, []string{record}) {
			t.Errorf("write %d of the late ticket is [%s], want [%s].%s", i, strings.Join(got, " "), record, lookAt)
		}
	}
}

// finished is the record of the server's Finished: a hash and a message header.
func (s *stockFlight) finished() string {
	hash := 32
	if s.state.CipherSuite == tls.TLS_AES_256_GCM_SHA384 {
		hash = 48
	}
	return fmt.Sprintf("23:%d", 4+hash+recordOverhead)
}

// The suites of TLS 1.3 cannot be chosen in crypto/tls, so a ClientHello that
// offers one alone is made from an ordinary one; the flight is all that is needed.
func TestStockServerLaysOutItsFlightAsExpectedInEverySuite(t *testing.T) {
	for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256} {
		t.Run(tls.CipherSuiteName(suite), func(t *testing.T) {
			server, client := configs(testcert.New(t, testcert.Options{}))
			near, far := tcp(t)
			seen := &stockFlight{wire: far, announced: -1, state: tls.ConnectionState{CipherSuite: suite}}
			noteLabels(server, func(label int) { seen.label, seen.announced = label, far.count() })
			if _, err := near.Write(helloOffering(t, suite, client)); err != nil {
				t.Fatal(err)
			}
			near.(interface{ CloseWrite() error }).CloseWrite()
			if err := tls.Server(far, server).Handshake(); err != io.EOF {
				t.Fatalf("handshake gave %v, want EOF after the flight", err)
			}
			seen.check(t, false)
		})
	}
}

// helloOffering returns a ClientHello of client with one suite in place of all
// those of TLS 1.3.
func helloOffering(t *testing.T, suite uint16, client *tls.Config) []byte {
	t.Helper()
	client = client.Clone()
	client.MinVersion = tls.VersionTLS13
	near, far := tcp(t)
	go tls.Client(near, client).Handshake()
	hello := make([]byte, 4<<10)
	n, err := far.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	hello = hello[:n]
	for _, known := range []byte{1, 2, 3} { // 0x1301 to 0x1303, after a 32 byte session id
		at := tlsrecord.HeaderLen + 4 + 2 + 32 + 1 + 32 + 2
		list := hello[at : at+6]
		if i := bytes.Index(list, []byte{0x13, known}); i < 0 {
			t.Fatalf("suites of the ClientHello are %x, want the three of TLS 1.3", list)
		}
	}
	at := tlsrecord.HeaderLen + 4 + 2 + 32 + 1 + 32 + 2
	for i := at; i < at+6; i += 2 {
		hello[i], hello[i+1] = byte(suite>>8), byte(suite)
	}
	return hello
}
