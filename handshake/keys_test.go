package handshake

import (
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"testing"

	"postern/internal/tlsrecord"
)

// clearKeys open records that are not encrypted, but end in a content type and 16 bytes
// in place of a tag, and note the calls.
type clearKeys struct {
	session Session
	asked   []string
	refuse  bool
}

func (k *clearKeys) Opener(s Session) Opener {
	k.session = s
	return k
}

func (k *clearKeys) Open(from Side, epoch int, record []byte) ([]byte, byte, bool) {
	k.asked = append(k.asked, fmt.Sprintf("%d:%d:%d", from, epoch, len(record)))
	end := len(record) - 17
	if k.refuse || end < tlsrecord.HeaderLen {
		return nil, 0, false
	}
	return record[tlsrecord.HeaderLen:end], record[end], true
}

// under returns an encrypted record that clearKeys open.
func under(kind byte, content ...[]byte) []byte {
	return record(tlsrecord.ApplicationData, slices.Concat(content...), []byte{kind}, make([]byte, 16))
}

func withKeys(keys Keys, pieces ...piece) *Recorder {
	r := NewRecorder(OnWire, recorded(OnWire).start)
	r.UseKeys(keys)
	for _, p := range pieces {
		r.Feed(p.from, p.b, r.start)
	}
	return r
}

var (
	ticketMessage = message(4, []byte{0, 0, 2, 88}, make([]byte, 4), prefixed(1, []byte{0, 0}), prefixed(2, make([]byte, 120)), prefixed(2))
	keyed         = []piece{
		client(plainHello),
		serve(serverHello(aes128, false), changeCipherSpec,
			under(tlsrecord.Handshake, message(8, prefixed(2)), message(13, make([]byte, 40)), message(25, make([]byte, 300))),
			under(tlsrecord.Handshake, message(15, make([]byte, 50))[:20])),
		serve(under(tlsrecord.Handshake, message(15, make([]byte, 50))[20:], message(20, make([]byte, 32)))),
		client(changeCipherSpec, under(tlsrecord.Handshake, message(11, make([]byte, 4)), message(20, make([]byte, 32)))),
		serve(under(tlsrecord.Handshake, ticketMessage)),
		client(under(tlsrecord.ApplicationData, []byte("NOOP\r\n")), under(tlsrecord.ApplicationData, []byte("NOOP\r\n")),
			under(tlsrecord.Handshake, message(24, []byte{0})), under(tlsrecord.ApplicationData, nil), under(tlsrecord.Alert, []byte{2, 10})),
	}
)

func TestKeysNameMessagesThatCannotBeInferred(t *testing.T) {
	transcript := withKeys(new(clearKeys), keyed...).Transcript()
	checkOutline(t, transcript, `
		> CH
		< SH CCS EE CR Cert
		< CV Fin
		> CCS Cert Fin
		< Ticket
		> Data KU Alert(10)
		alerted by client, completed true, spoke`)
	for _, m := range transcript.Messages {
		if m.Type == TypeNewSessionTicket && (m.Ticket == nil || m.Ticket.Lifetime.Seconds() != 600 || m.Ticket.Size != 120) {
			t.Errorf("ticket %+v", m.Ticket)
		}
		if m.Inferred || m.Encrypted != (m.Type != TypeClientHello && m.Type != TypeServerHello && m.Type != TypeChangeCipherSpec) {
			t.Errorf("%s: inferred %v, encrypted %v", m.Type, m.Inferred, m.Encrypted)
		}
	}
}

// The epochs that Opener documents.
func TestOpenerGetsTheEpoch(t *testing.T) {
	keys := new(clearKeys)
	withKeys(keys, keyed...)
	if keys.session.Version != tls.VersionTLS13 || keys.session.Suite != aes128 {
		t.Errorf("session %+v", keys.session)
	}
	var epochs []string
	for _, asked := range keys.asked {
		epochs = append(epochs, asked[:3])
	}
	want := []string{"2:0", "2:0", "2:0", "1:0", "2:1", "1:1", "1:1", "1:1", "1:2", "1:2"}
	if !slices.Equal(epochs, want) {
		t.Errorf("asked for %v, want %v", epochs, want)
	}
}

func TestUnopenedRecordsAreInferred(t *testing.T) {
	pieces := []piece{client(plainHello), full(aes128, 36), client(sealed(36)), client(sealed(8))}
	want := outline(recorded(OnWire, pieces...).Transcript())
	checkOutline(t, withKeys(&clearKeys{refuse: true}, pieces...).Transcript(), want)
}

// A Conn asks for the keys when the recording stops.
func TestConnWithKeysRecordsTheSameHandshake(t *testing.T) {
	serverConfig, clientConfig := configs(t)
	near, far := tcp(t)
	go func() {
		secure := tls.Server(far, serverConfig)
		io.WriteString(secure, "220 mx.example.org\r\n")
		secure.Close()
	}()
	keys := &clearKeys{refuse: true}
	recorded := NewConn(near, AtClient)
	recorded.UseKeys(keys)
	recorded.Begin()
	recorded.ServerFirst()
	secure := tls.Client(recorded, clientConfig)
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	recorded.Complete()
	io.ReadAll(secure)
	secure.Close()
	if len(keys.asked) > 0 {
		t.Error("asked for keys before the end")
	}
	checkOutline(t, recorded.Stop(UseNone), `
		> CH
		< SH CCS EE? Cert? CV? Fin? Ticket?!
		> CCS Fin?
		< Unknown Alert?
		> Alert?
		closed by server, completed true, unused`)
	if len(keys.asked) == 0 {
		t.Error("asked for no keys")
	}
}
