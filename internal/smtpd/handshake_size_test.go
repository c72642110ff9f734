package smtpd

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/tlsrecord"
)

// helloOf returns the ClientHello of a client as it is sent.
func helloOf(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		tls.Client(theirs, config).Handshake()
		theirs.Close()
	}()
	b := make([]byte, 64<<10)
	n, err := ours.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// A client cannot make the server hold more than a handshake needs. The log and the
// transcript say that it was too large.
func TestTooLargeAHandshakeIsEnded(t *testing.T) {
	record := func(body string) string {
		return string(tlsrecord.AppendHeader(nil, tlsrecord.Handshake, len(body))) + body
	}
	filler := func(records int) string { return strings.Repeat(record(strings.Repeat("x", 1000)), records) }
	tls12 := string(helloOf(t, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}))
	for name, send := range map[string]string{
		"ClientHello of 60,000 bytes":            record("\x01\x00\xea\x60"+strings.Repeat("x", 996)) + filler(40),
		"ClientHello of two announced records":   record("\x01\x00\xea\x60"+strings.Repeat("x", 16<<10-4)) + record(strings.Repeat("x", 16<<10)) + filler(1),
		"Certificate of 256 KiB after the hello": tls12 + record("\x0b\x04\x00\x00") + filler(40),
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, nil)
			c := s.dial(t)
			c.t = t
			c.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *")
			c.Send(send) // the end of it may meet a closed connection
			r := s.result()
			if r.End != "TLS handshake failed" || fmt.Sprint(r.Err) != "TLS handshake of more than 32 KiB" {
				t.Fatalf("the session ended with %s: %v", r.End, r.Err)
			}
			end := r.Transcript.End
			if end.Kind != handshake.EndDropped || end.By != handshake.Server || end.Err != "TLS handshake of more than 32 KiB" {
				t.Errorf("the transcript's end is %+v", end)
			}
			if last := r.Transcript.Messages[len(r.Transcript.Messages)-1]; last.Missing == 0 {
				t.Errorf("the transcript's last message is %+v, want one that is not whole", last)
			}
		})
	}
}

// Handshakes that were too large take no room from those that follow.
func TestRoomOfTooLargeHandshakesIsFreed(t *testing.T) {
	s := startServer(t, nil)
	for range 40 { // an address may have 32 at once
		c := s.dial(t)
		c.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *")
		c.Send(string(tlsrecord.AppendHeader(nil, tlsrecord.Handshake, 5000)) + strings.Repeat("x", 5000))
		if r := s.result(); !strings.HasPrefix(fmt.Sprint(r.Err), "tls: ") {
			t.Fatalf("the session ended with %s: %v", r.End, r.Err)
		}
	}
}

// An honest ClientHello can be long.
func TestALongClientHelloIsAnswered(t *testing.T) {
	for _, names := range []int{0, 10, 100} {
		config := &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519}}
		for i := range names {
			config.NextProtos = append(config.NextProtos, fmt.Sprintf("%0150d", i))
		}
		size := len(helloOf(t, config))
		s := startServer(t, func(set *Settings, _ *memoryHop) { set.TLS.CurvePreferences = []tls.CurveID{tls.CurveP256} })
		config.CurvePreferences = append(config.CurvePreferences, tls.CurveP256) // the server asks for a second ClientHello
		c := s.dial(t)
		c.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *")
		if err := c.Handshake(config); err != nil {
			t.Errorf("a ClientHello of %d bytes, sent twice: %v", size, err)
			continue
		}
		c.play("> EHLO a\n< 250 *\n> QUIT\n< 221 *\nCLOSED")
	}
}
