package handshake

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"postern/internal/tlsrecord"
)

// ssl2Message returns a ClientHello in the format of SSL 2.0 with two suites of TLS and
// one of SSL 2.0.
func ssl2Message(version Version) []byte {
	body := slices.Concat([]byte{1}, uint16s(version), uint16s[uint16](9, 0, 16),
		[]byte{0, 0, 0x39, 0x01, 0, 0x80, 0, 0, 0x2f}, make([]byte, 16))
	return append([]byte{0x80, byte(len(body))}, body...)
}

// serverHello10 is a ServerHello of TLS 1.0.
var serverHello10 = record(tlsrecord.Handshake, message(2, []byte{3, 1}, make([]byte, 32), []byte{0, 0, 0x2f, 0}))

// A ClientHello in the format of SSL 2.0 that the server accepts is one, however it
// arrives; the handshake goes on in records.
func TestAcceptedSSLv2ClientHelloIsRead(t *testing.T) {
	rest := slices.Concat(record(tlsrecord.Handshake, message(16, make([]byte, 130))), changeCipherSpec)
	hello := ssl2Message(0x0301)
	whole := recorded(OnWire, client(hello), serve(serverHello10), client(rest))
	byBytes := []piece{}
	for _, b := range hello {
		byBytes = append(byBytes, client([]byte{b}))
	}
	for name, r := range map[string]*Recorder{
		"whole":   whole,
		"in bits": recorded(OnWire, append(byBytes, serve(serverHello10), client(rest))...),
		"joined":  recorded(OnWire, client(slices.Concat(hello, rest)), serve(serverHello10)),
	} {
		want := "> CH\n< SH\n> CKE CCS\nopen, completed false, unused"
		if name == "joined" {
			want = "> CH CKE CCS\n< SH\nopen, completed false, unused"
		}
		transcript := r.Transcript()
		checkOutline(t, transcript, want)
		if transcript.NotTLS != nil {
			t.Errorf("%s: not TLS: %q", name, transcript.NotTLS)
		}
		h := &ClientHello{Size: len(hello) - 2, Version: 0x0301, Suites: []Suite{0x39, 0x2f}}
		if !reflect.DeepEqual(transcript.ClientHello, h) {
			t.Errorf("%s: read %+v, want %+v", name, transcript.ClientHello, h)
		}
	}
}

// What the server does not accept is not TLS.
func TestOtherSSLv2ClientHellosAreNotTLS(t *testing.T) {
	hello := ssl2Message(0x0301)
	alert := serve(record(21, []byte{2, 40}))
	noServerHello := "> NotTLS\n< Alert(40)\nserver alerted, completed false, unused"
	for name, pieces := range map[string][]piece{
		"refused":                      {client(hello), alert},
		"cut":                          {client(hello[:20]), alert},
		"of another version":           {client(bytes.Replace(hello, []byte{1, 3, 1}, []byte{1, 9, 1}, 1)), alert},
		"of another type":              {client(bytes.Replace(hello, []byte{1, 3, 1}, []byte{2, 3, 1}, 1)), alert},
		"too long":                     {client(append([]byte{0xff, 0xff}, hello[2:]...)), alert},
		"too short":                    {client(append([]byte{0x80, 3}, hello[2:5]...)), alert},
		"clear text with the high bit": {client([]byte("\xc3\x84HLO mx.example.org\r\n")), alert},
	} {
		r := recorded(OnWire, pieces...)
		transcript := r.Transcript()
		if got := outline(transcript); transcript.ClientHello != nil || transcript.NotTLS == nil || got[:8] != noServerHello[:8] {
			t.Errorf("%s: read\n%s\n%+v", name, got, transcript.ClientHello)
		}
	}
}
