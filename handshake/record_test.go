package handshake

import (
	"slices"
	"testing"

	"postern/internal/tlsrecord"
)

// What passes may be incomplete, or not TLS.
func TestIncompleteRecordsAreRecorded(t *testing.T) {
	helloMessage := plainHello[tlsrecord.HeaderLen:]
	long := message(1, make([]byte, maxClientHello+1))
	for _, test := range []struct {
		name   string
		pieces []piece
		want   string
	}{
		{"nothing", nil, "open, completed false, unused"},
		{"part of a record's header", []piece{client([]byte{22, 3})},
			"> Unknown-3\nopen, completed false, unused"},
		{"a record's header", []piece{client([]byte{22, 3, 1, 0, 200})},
			"> Unknown-200\nopen, completed false, unused"},
		{"part of a message's header", []piece{client(record(22, []byte{1, 0}))},
			"> Unknown-2\nopen, completed false, unused"},
		{"part of an encrypted record", []piece{client(plainHello), serve(serverHello(aes128, false)), client(sealed(36)[:50])},
			"> CH\n< SH\n> Unknown-8\nopen, completed false, unused"},
		{"a ClientHello in three records", []piece{client(
			record(22, helloMessage[:2]), record(22, helloMessage[2:50]), record(22, helloMessage[50:]))},
			"> CH\nopen, completed false, unused"},
		{"a ClientHello of more than is kept", []piece{client(records(long))},
			"> CH\nopen, completed false, unused"},
		{"an alert in place of a ClientHello", []piece{client(record(21, []byte{1, 0}))},
			"> Alert(0)\nopen, completed false, unused"},
		{"an empty record", []piece{client(record(22)), client(plainHello)},
			"> CH\nopen, completed false, unused"},
		{"clear text after TLS", []piece{client(plainHello), serve([]byte("550 5.7.0 no\r\n"), []byte("bye\r\n"))},
			"> CH\n< NotTLS\nopen, completed false, unused"},
		{"a record that is too long", []piece{client([]byte{22, 3, 1, 0xff, 0xff, 1, 2, 3})},
			"> NotTLS\nopen, completed false, unused"},
		{"a heartbeat", []piece{client(record(24, []byte{1, 0, 1}))},
			"> Unknown\nopen, completed false, unused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkOutline(t, recorded(OnWire, test.pieces...).Transcript(), test.want)
		})
	}
}

func TestFirstBytesThatAreNotTLSAreKept(t *testing.T) {
	transcript := recorded(AtServer, client([]byte("EHLO mx.exa")), client([]byte("mple.org\r\n"))).Transcript()
	if got := string(transcript.NotTLS); got != "EHLO mx.example." {
		t.Errorf("kept %q", got)
	}
	if m := transcript.Messages[0]; m.Size != 21 || m.Write != 2 {
		t.Errorf("%d bytes, the last in write %d", m.Size, m.Write)
	}
}

func TestTranscriptDoesNotChangeLater(t *testing.T) {
	r := recorded(AtServer, client([]byte("EHLO ")))
	before := r.Transcript()
	r.Feed(Client, []byte("mx.example.org\r\n"), r.start)
	r.Feed(Server, record(21, []byte{2, 70}), r.start)
	if len(before.Messages) != 1 || before.Messages[0].Size != 5 || string(before.NotTLS) != "EHLO " {
		t.Errorf("changed to %+v", before)
	}
}

func TestMessagesPastTheBoundAreCounted(t *testing.T) {
	r := recorded(OnWire, client(slices.Repeat(record(21, []byte{1, 90}), MaxMessages+7)))
	transcript := r.Transcript()
	if len(transcript.Messages) != MaxMessages || transcript.Omitted != 7 {
		t.Errorf("%d messages, %d omitted", len(transcript.Messages), transcript.Omitted)
	}
}
