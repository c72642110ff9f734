package keylog_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"postern/handshake"
	"postern/handshake/keylog"
)

// A key log reads the same in one piece and in many.
func FuzzParse(f *testing.F) {
	f.Add([]byte(someLine))
	f.Add([]byte("# x\r\n\r" + someLine + "\r\n" + someLine[1:]))
	f.Add([]byte("CLIENT_HANDSHAKE_TRAFFIC_SECRET " + someRandom + " " + strings.Repeat("00", 48)))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, err := keylog.Parse(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		pieces := new(keylog.Log)
		for _, b := range append(text, '\n') {
			pieces.Write([]byte{b})
		}
		faults, _ := whole.BadLines()
		if same, _ := pieces.BadLines(); !reflect.DeepEqual(faults, same) {
			t.Errorf("faults %v, in pieces %v", faults, same)
		}
	})
}

// No record opens by accident, and none causes a panic.
func FuzzOpen(f *testing.F) {
	f.Add(true, []byte("\x17\x03\x03\x00\x11aaaaaaaaaaaaaaaaa"))
	f.Add(false, []byte{})
	f.Add(true, []byte("\x17\x03\x03\x00\x07aaaaaaa"))
	f.Fuzz(func(t *testing.T, client bool, record []byte) {
		keys := parse(t, someLine+"\n"+strings.Replace(someLine, "SERVER_TRAFFIC_SECRET_0", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", 1))
		fmt.Fprintf(keys, "CLIENT_RANDOM %s %s\n", someRandom, strings.Repeat("c3", 48))
		session := handshake.Session{Version: tls.VersionTLS13, Suite: 0x1301}
		copy(session.ClientRandom[:], bytes.Repeat([]byte{0x5a}, 32))
		from := handshake.Server
		if client {
			from = handshake.Client
		}
		if _, _, ok := keys.Opener(session).Open(from, 0, record); ok {
			t.Errorf("opened %x", record)
		}
		session.Version = tls.VersionTLS12
		for _, session.Suite = range []handshake.Suite{0xc02f, 0xc030, 0xcca8} {
			if _, _, ok := keys.Opener(session).Open(from, 0, record); ok {
				t.Errorf("opened %x", record)
			}
		}
	})
}
