package handshake

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/tlsrecord"
	"postern/sessionticket"
)

const (
	aes128 = 0x1301 // TLS_AES_128_GCM_SHA256: a Finished of 36 bytes
	aes256 = 0x1302 // TLS_AES_256_GCM_SHA384: of 52
)

// full returns the server's flight, each message in a record of its own.
func full(suite Suite, finished int) piece {
	return serve(serverHello(suite, false), changeCipherSpec, sealed(6), sealed(800), sealed(79), sealed(finished))
}

// finish is the client's answer to the flight.
var finish = client(changeCipherSpec, sealed(36))

// wireCases are the handshakes of servers other than crypto/tls.
var wireCases = []struct {
	name   string
	pieces []piece
	want   string
}{
	{"two tickets of a size after the handshake, as OpenSSL sends them", []piece{
		client(plainHello), full(aes128, 36), finish, serve(sealed(217)), serve(sealed(217)),
		client(sealed(8)), serve(sealed(40)), client(sealed(6)),
	}, `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin?
		< Ticket?
		< Ticket?
		> Data?
		< Data?
		open, completed true, spoke`},
	{"the same when the client's data came with its Finished", []piece{
		client(plainHello), full(aes128, 36), client(changeCipherSpec, sealed(36), sealed(8)),
		serve(sealed(217), sealed(217)), serve(sealed(40)),
	}, `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin? Data?
		< Ticket? Ticket?
		< Data?
		open, completed true, spoke`},
	{"two tickets before the client's Finished, as GnuTLS sends them", []piece{
		client(plainHello), full(aes256, 52), serve(sealed(251), sealed(251)),
		client(changeCipherSpec, sealed(52)), client(sealed(8)), serve(sealed(40)),
	}, `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		< Ticket?! Ticket?!
		> CCS Fin? Data?
		< Data?
		open, completed true, spoke`},
	{"one record after data: a ticket or the answer", []piece{
		client(plainHello), full(aes128, 36), client(changeCipherSpec, sealed(36), sealed(8)),
		serve(sealed(217)), serve(sealed(40)),
	}, `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin? Data?
		< Unknown
		< Data?
		open, completed true, spoke`},
	{"the whole flight in one record, as BoringSSL sends it", []piece{
		client(plainHello), serve(serverHello(aes128, false), changeCipherSpec, sealed(6+800+79+36)),
		finish, serve(sealed(217), sealed(217)), client(sealed(8)),
	}, `
		> CH
		< SH CCS Unknown
		> CCS Fin?
		< Ticket? Ticket?
		> Data?
		open, completed true, spoke`},
	{"padded records", []piece{
		client(plainHello), serve(serverHello(aes128, false), sealed(512), sealed(1024), sealed(512), sealed(512)),
		client(sealed(512)), client(sealed(512)),
	}, `
		> CH
		< SH Unknown Unknown Unknown Unknown
		> Unknown Unknown
		open, completed false, unused`},
	{"records with 16 zeros behind their content, as JSSE sends them", []piece{
		client(plainHello), full(aes128, 36), client(changeCipherSpec, sealed(36+16), sealed(18+16)),
		serve(sealed(217), sealed(217)), serve(sealed(40)), client(sealed(32 + 16)), client(sealed(2 + 16)),
	}, `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin? Data?
		< Ticket? Ticket?
		< Data?
		> Alert?
		open, completed true, spoke`},
	{"the longer hash", []piece{
		client(plainHello), full(aes256, 52), client(sealed(52)),
	}, `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> Fin?
		open, completed false, unused`},
	{"EncryptedExtensions as long as a Finished", []piece{
		client(plainHello), serve(serverHello(aes128, false), sealed(36), sealed(800), sealed(79), sealed(36)),
		client(sealed(36)), client(sealed(8)),
	}, `
		> CH
		< SH EE? Cert? CV? Fin?
		> Fin? Data?
		open, completed false, spoke`},
	{"early data", []piece{
		client(plainHello, sealed(200)), serve(serverHello(aes128, true), sealed(6), sealed(36)),
		client(sealed(36)), client(sealed(8)),
	}, `
		> CH Data?
		< SH EE? Fin?
		> Fin? Data?
		open, completed false, spoke`},
	{"alert of the server in its flight", []piece{
		client(plainHello), serve(serverHello(aes128, false), sealed(6), sealed(2)),
	}, `
		> CH
		< SH Unknown Alert?
		alerted by server, completed false, unused`},
	{"alert of the client", []piece{
		client(plainHello), full(aes128, 36), client(changeCipherSpec, sealed(2)),
	}, `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Alert?
		alerted by client, completed false, unused`},
	{"alert right after the client's Finished", []piece{
		client(plainHello), full(aes128, 36), finish, serve(sealed(2)),
	}, `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin?
		< Alert?
		alerted by server, completed false, unused`},
}

// What cannot be inferred stays Unknown.
func TestEncryptedMessagesAreInferredByOrderAndSize(t *testing.T) {
	for _, test := range wireCases {
		t.Run(test.name, func(t *testing.T) {
			checkOutline(t, recorded(OnWire, test.pieces...).Transcript(), test.want)
		})
	}
}

// JSSE pads its alerts. The error of the server's TLS library shows which record was one.
func TestPaddedAlertIsNamedByTheLibrarysError(t *testing.T) {
	r := recorded(AtServer, client(plainHello), full(aes128, 36), client(changeCipherSpec, sealed(2+16)))
	r.fail(&net.OpError{Op: "remote error", Err: tls.AlertError(46)}, time.Time{})
	r.End(End{Kind: EndDropped, By: Server})
	checkOutline(t, r.Transcript(), `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Alert?(46)
		alerted by client, completed false, unused`)
}

// Of a session of many records only the first data of each side is kept, and the last
// record if it may be an alert. Two bytes in the middle are an empty line.
func TestApplicationDataIsNotedOnce(t *testing.T) {
	pieces := []piece{client(plainHello), full(aes128, 36), client(sealed(36))}
	for range 100 {
		pieces = append(pieces, client(sealed(2)), serve(sealed(30)))
	}
	r := recorded(OnWire, pieces...)
	checkOutline(t, r.Transcript(), `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> Fin? Data?
		< Unknown
		< Data?
		> Alert?
		open, completed true, spoke`)
	r.Feed(Client, sealed(12), r.start)
	checkOutline(t, r.Transcript(), `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> Fin? Data?
		< Unknown
		< Data?
		open, completed true, spoke`)
}

// Crypto/tls does not export its alert type, which has the text of AlertError.
func TestEachAlertOfCryptoTLSIsKnown(t *testing.T) {
	for n := range 256 {
		for op, by := range map[string]Side{"remote error": Client, "local error": Server} {
			r := recorded(AtServer, client(plainHello), full(aes128, 36), client(sealed(2)), serve(sealed(2)))
			r.fail(&net.OpError{Op: op, Err: tls.AlertError(n)}, time.Time{})
			found := 0
			for _, m := range r.Transcript().Messages {
				if m.Alert != nil && m.From == by && int(m.Alert.Description) == n {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%s %v: %d alerts found", op, tls.AlertError(n), found)
			}
		}
	}
}

// announcing makes config announce its tickets to recorded, so that they are known for
// certain.
func announcing(config *tls.Config, recorded *Conn) *tls.Config {
	config = config.Clone()
	config.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		ticket, err := config.EncryptTicket(state, session)
		recorded.ExpectTicket(len(ticket))
		return ticket, err
	}
	return config
}

// If the server speaks first, its ticket and its greeting look alike.
func TestTicketAndGreetingAreDistinguished(t *testing.T) {
	for _, test := range []struct {
		mode                sessionticket.Mode
		announced, inferred string // what the server sent after the handshake
	}{
		{mode: sessionticket.Stock, announced: "Ticket?!\n> CCS Fin?\n< Data?", inferred: "Ticket?!\n> CCS Fin?\n< Data?"},
		{mode: sessionticket.FirstWrite, announced: "\n> CCS Fin?\n< Ticket? Data?", inferred: "\n> CCS Fin?\n< Ticket? Data?"},
		{mode: sessionticket.OwnWrite, announced: "\n> CCS Fin?\n< Ticket?\n< Data?", inferred: "\n> CCS Fin?\n< Unknown\n< Unknown"},
		{mode: sessionticket.NoTicket, announced: "\n> CCS Fin?\n< Data?", inferred: "\n> CCS Fin?\n< Unknown"},
	} {
		for _, announce := range []bool{true, false} {
			t.Run(test.mode.String(), func(t *testing.T) {
				after := test.inferred
				if announce {
					after = test.announced
				}
				if after[0] != '\n' {
					after = " " + after
				}
				checkOutline(t, greeted(t, test.mode, announce), "> CH\n< SH CCS EE? Cert? CV? Fin?"+after+"\n< Alert?\nclosed by server, completed true, unused")
			})
		}
	}
}

// greeted runs a handshake and a greeting by the server, which then closes.
func greeted(t *testing.T, mode sessionticket.Mode, announce bool) *Transcript {
	t.Helper()
	near, far := tcp(t)
	serverConfig, clientConfig := configs(t)
	recorded := NewConn(far, AtServer)
	recorded.Begin()
	recorded.ServerFirst()
	if announce {
		recorded.ExpectTicket(0)
		serverConfig = announcing(serverConfig, recorded)
	}
	gate := &sessionticket.Gate{Mode: mode}
	secure := tls.Server(gate.Conn(recorded), gate.Config(serverConfig))
	done := make(chan struct{})
	go func() { io.ReadAll(tls.Client(near, clientConfig)); close(done) }()
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	recorded.Complete()
	io.WriteString(secure, "220 mx.example.org ESMTP\r\n")
	secure.Close()
	<-done
	return recorded.Stop(UseNone)
}

// Browsers with application settings send them before their Finished, in one record.
func TestFinishedBehindApplicationSettingsIsFound(t *testing.T) {
	for size, want := range map[int]string{36 + 10: "> Fin?", 36 + 40: "> Unknown"} {
		h := *richHello
		h.Extensions = append(slices.Clone(h.Extensions), extApplicationSettings)
		r := recorded(OnWire, client(hello(&h)), serve(serverHello(aes128, false), sealed(4000)), client(sealed(size)))
		r.End(End{Kind: EndClosed, By: Server})
		if got := outline(r.Transcript()); !strings.Contains(got, want) {
			t.Errorf("%d bytes: got outline\n%s\nwant %s", size, got, want)
		}
	}
}

// Captures of 2016 to 2018 have drafts of TLS 1.3, before draft 22 without a session ID in
// the ServerHello.
func TestDraftsOfTLS13AreRead(t *testing.T) {
	for _, draft := range []Version{0x7f0e, 0x7f1c} {
		body := slices.Concat(uint16s(draft), make([]byte, 32), uint16s[Suite](aes128), prefixed(2))
		if draft >= 0x7f16 {
			body = slices.Concat(uint16s[Version](0x0303), make([]byte, 32), prefixed(1), uint16s[Suite](aes128), []byte{0},
				prefixed(2, uint16s[Extension](extSupportedVersions, 2, Extension(draft))))
		}
		r := recorded(OnWire, client(plainHello), serve(record(22, message(2, body)), sealed(6), sealed(500), sealed(80), sealed(36)),
			client(sealed(36)), serve(sealed(100)), client(sealed(20)))
		r.End(End{Kind: EndClosed, By: Client})
		checkOutline(t, r.Transcript(), `
			> CH
			< SH EE? Cert? CV? Fin?
			> Fin?
			< Ticket?
			> Data?
			closed by client, completed true, spoke`)
	}
}

// An alert that cannot be read is no complaint if its side had accepted the handshake, or
// if the other side had closed the connection before.
func TestAlertAfterCompleteHandshakeIsGoodbye(t *testing.T) {
	hello12 := record(tlsrecord.Handshake, message(2, []byte{3, 3}, make([]byte, 32), []byte{0, 0xc0, 0x2f, 0}))
	sealed12 := func(kind byte, content int) []byte { return record(kind, make([]byte, content+24)) }
	finished := slices.Concat(changeCipherSpec, sealed12(tlsrecord.Handshake, 16))
	for _, tt := range []struct {
		name      string
		pieces    []piece
		closed    Side // before the last piece
		completed bool
	}{
		{"TLS 1.2, by the server", []piece{client(plainHello), serve(hello12), client(finished), serve(finished), serve(sealed12(tlsrecord.Alert, 2))}, UnknownSide, true},
		{"TLS 1.2, by the client", []piece{client(plainHello), serve(hello12), client(finished), serve(finished), client(sealed12(tlsrecord.Alert, 2))}, UnknownSide, true},
		{"TLS 1.2 resumed, by the server", []piece{client(plainHello), serve(hello12, finished), client(finished), serve(sealed12(tlsrecord.Alert, 2))}, UnknownSide, false},
		{"TLS 1.3, by the server", []piece{client(plainHello), full(aes128, 36), client(sealed(36)), serve(sealed(2))}, UnknownSide, false},
		{"TLS 1.3, by the server after the client's close", []piece{client(plainHello), full(aes128, 36), client(sealed(36)), serve(sealed(2))}, Client, true},
	} {
		r := recorded(OnWire, tt.pieces[:len(tt.pieces)-1]...)
		if tt.closed != UnknownSide {
			r.End(End{Kind: EndClosed, By: tt.closed})
		}
		last := tt.pieces[len(tt.pieces)-1]
		r.Feed(last.from, last.b, r.start.Add(time.Second))
		r.End(End{Kind: EndClosed, By: last.from})
		if got := r.Transcript(); got.Completed != tt.completed {
			t.Errorf("%s: completed %v:\n%s", tt.name, got.Completed, outline(got))
		}
	}
}
