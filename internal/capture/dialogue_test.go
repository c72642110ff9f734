package capture_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/capture"
)

// hello is a TLS record with the beginning of a ClientHello, and alert the server's alert
// for it.
const (
	ssl2Hello   = "\x80\x1c\x01\x03\x01\x00\x03\x00\x00\x00\x10\x00\x00\x2f0123456789abcdef"
	serverHello = "\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01" + "0123456789abcdef0123456789abcdef" + "\x00\x00\x2f\x00"

	hello = "\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00"
	alert = "\x15\x03\x01\x00\x02\x02\x32"
)

// play makes turns of lines: "C: " and "S: " are plaintext lines and get CRLF; "C* " and
// "S* " are sent as they are.
func play(lines ...string) (turns []turn) {
	for _, line := range lines {
		t := turn{from: handshake.Client, data: []byte(line[3:])}
		if line[0] == 'S' {
			t.from = handshake.Server
		}
		if line[1] == ':' {
			t.data = append([]byte(strings.ReplaceAll(line[3:], " | ", "\r\n")), "\r\n"...)
		}
		turns = append(turns, t)
	}
	return turns
}

func TestStartOfTLSIsFound(t *testing.T) {
	inTLS := []string{"client: ClientHello", "server: Alert", "alerted by the server after Alert, unused"}
	for name, tt := range map[string]struct {
		turns      []turn
		want       string // the conversation without its transcript
		transcript []string
	}{
		"SMTP": {play("S: 220-mx.example.org | 220 hello", "C: EHLO a.example", "S: 250-hi | 250 STARTTLS", "C: starttls", "S: 220 go", "C* "+hello, "S* "+alert),
			"SMTP banner=220-mx.example.org name=a.example starttls", inTLS},
		"LMTP": {play("S: 220 hello", "C: LHLO a.example", "S: 250 STARTTLS", "C: STARTTLS", "S: 220-go | 220 on", "C* "+hello, "S* "+alert),
			"SMTP banner=220 hello name=a.example starttls", inTLS},
		"pipelined": {play("S: 220 hello", "C: EHLO a.example | STARTTLS", "S: 250 hi | 220 go", "C* "+hello, "S* "+alert),
			"SMTP banner=220 hello name=a.example starttls", inTLS},
		"IMAP": {play("S: * OK ready", "C: a1 STARTTLS", "S: * CAPABILITY X | a1 OK go", "C* "+hello, "S* "+alert),
			"IMAP banner=* OK ready starttls", inTLS},
		"POP3":                {play("S: +OK ready", "C: STLS", "S: +OK go", "C* "+hello, "S* "+alert), "POP3 banner=+OK ready starttls", inTLS},
		"from the first byte": {play("C* "+hello, "S* "+alert), "", inTLS},
		"refused, then mail in plaintext": {play("S: 220 hello", "C: EHLO a", "S: 250 hi", "C: STARTTLS", "S: 454 4.7.0 not now", "C: MAIL FROM:<a@b>", "S: 250 ok", "C: DATA", "S: 354 go", "C: STARTTLS | .", "S: 250 ok", "C: QUIT", "S: 221 bye"),
			"SMTP banner=220 hello name=a starttls refusal=454 4.7.0 not now mail", []string{"no TLS"}},
		"refused, then accepted": {play("S: 220 hello", "C: EHLO a", "S: 250 hi", "C: STARTTLS", "S: 454 later", "C: STARTTLS", "S: 220 go", "C* "+hello, "S* "+alert),
			"SMTP banner=220 hello name=a starttls refusal=454 later", inTLS},
		"masked by a firewall": {play("S: 220 ****************", "C: EHLO a", "S: 250-hi | 250 XXXXXXXA", "C: MAIL FROM:<a@b>"),
			"SMTP banner=220 **************** name=a mail", []string{"no TLS"}},
		"a command after STARTTLS": {play("S: 220 hello", "C: STARTTLS | RSET", "S: 220 go", "C* "+hello, "S* "+alert),
			"SMTP banner=220 hello starttls", []string{"client: NotTLS", "server: Alert", "alerted by the server after Alert, unused"}},
		"silence after STARTTLS": {play("S: 220 hello", "C: STARTTLS", "S: 220 go"), "SMTP banner=220 hello starttls", []string{"open, unused"}},
		"commands before the greeting": {play("C: EHLO a | STARTTLS", "S: 220 hello", "S: 250 hi | 220 go", "C* "+hello, "S* "+alert),
			"SMTP banner=220 hello name=a starttls", inTLS},
		"bare LF": {play("S* 220 hello\n", "C* STARTTLS\n", "S* 220 go\n", "C* "+hello, "S* "+alert), "SMTP banner=220 hello starttls", inTLS},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mss := range []int{1, 3, 10_000} {
				found := read(t, ethernet.pcap(t, segments(tt.turns, mss, 1000, 2000)), nil)
				if len(found) != 1 {
					t.Fatalf("%d conversations", len(found))
				}
				if got := describe(found[0]); got != tt.want {
					t.Errorf("in segments of %d: got %q, want %q", mss, got, tt.want)
				}
				checkTranscript(t, found[0], tt.transcript...)
			}
		})
	}
}

// Old clients open implicit TLS with the ClientHello of SSL 2.0.
func TestSSL2HelloStartsTLS(t *testing.T) {
	turns := play("C* "+ssl2Hello, "S* "+serverHello)
	found := read(t, ethernet.pcap(t, segments(turns, 1000, 1, 1)), nil)
	checkTranscript(t, found[0], "client: ClientHello", "server: ServerHello", "open after ServerHello, unused")
}

func describe(c *capture.Conversation) string {
	text := string(c.Protocol)
	for _, field := range []struct{ name, value string }{{"banner", c.Banner}, {"name", c.EHLO}} {
		if field.value != "" {
			text += fmt.Sprintf(" %s=%s", field.name, field.value)
		}
	}
	if c.StartTLS {
		text += " starttls"
	}
	if c.Refusal != "" {
		text += " refusal=" + c.Refusal
	}
	if c.Mail {
		text += " mail"
	}
	return text
}

// Connections with neither mail nor TLS are only counted.
func TestOtherProtocolsAreNoConversations(t *testing.T) {
	for _, turns := range [][]turn{
		play("C: GET / HTTP/1.1 | Host: example.org | ", "S: HTTP/1.1 200 OK | "),
		play("C* \x16\x03\x01\x00\x00\x17\x03\x01\x00\x03abc", "S* \x16\x03\x01\x00\x00\x17\x03\x01\x00\x03abc"), // looks like TLS
	} {
		if found := read(t, ethernet.pcap(t, segments(turns, 1000, 1, 1)), nil); len(found) != 0 {
			t.Errorf("got %+v", found[0])
		}
	}
}

// Long lines are cut, and the search for TLS ends.
func TestPlaintextIsBounded(t *testing.T) {
	line, endless := strings.Repeat("x", 5_000), strings.Repeat("x", 100_000)
	for _, turns := range [][]turn{
		play("S: 220 "+line, "C: EHLO "+line),
		play("S: 220 hello", "C: EHLO a", "S* "+endless, "C: STARTTLS", "S: 220 go", "C* "+hello),
		play("S: 220 hello", "C: STARTTLS", "C: "+endless, "S: 220 go", "C* "+hello),
	} {
		c := read(t, ethernet.pcap(t, segments(turns, 1000, 1, 1)), nil)[0]
		if len(c.Banner) > 512 || len(c.EHLO) > 512 || c.Transcript != nil {
			t.Errorf("read %+v", c)
		}
	}
}

// The side that sends RST ended the connection; an RST before the window is ignored.
func TestReset(t *testing.T) {
	packets := segments(play("S: 220 hello", "C: STARTTLS", "S: 220 go", "C* "+hello), 1000, 1000, 2000)
	last := packets[len(packets)-1]
	for _, p := range []packet{
		{from: handshake.Server, seq: last.ack, ack: last.seq, rst: true},
		{from: handshake.Client, seq: last.seq + uint32(len(last.data)), rst: true},
	} {
		found := read(t, ethernet.pcap(t, append(packets[:len(packets):len(packets)], p)), nil)
		checkTranscript(t, found[0], "client: ClientHello", "reset by the "+p.from.String()+" after ClientHello, unused")
	}
	old := packet{from: handshake.Client, seq: 1000, rst: true}
	found := read(t, ethernet.pcap(t, append(packets[:len(packets):len(packets)], old)), nil)
	checkTranscript(t, found[0], "client: ClientHello", "open after ClientHello, unused")
}

// The reply to STARTTLS is missing, and the server sends nothing after it.
func TestReplyToSTARTTLSIsMissing(t *testing.T) {
	packets := segments(play("S: 220 hello", "C: STARTTLS", "S: 220 go", "C* "+hello), 1000, 1000, 2000)
	found := read(t, ethernet.pcap(t, slices.Delete(packets, 5, 6)), nil)
	checkTranscript(t, found[0], "client: ClientHello", "open after ClientHello, unused")
	if found[0].MissingBytes != len("220 go\r\n") {
		t.Errorf("%d bytes are missing", found[0].MissingBytes)
	}
}

// A snap length truncates the packet with the last data and the FIN.
func TestFINInATruncatedPacket(t *testing.T) {
	packets := segments(play("C* "+hello, "S* "+alert), 1000, 1000, 2000)
	packets[3].fin = true
	packets[4].ack++
	var frames [][]byte
	for _, p := range packets {
		frames = append(frames, ethernet.frame(t, p))
	}
	frames[3] = frames[3][:len(frames[3])-3]
	found := read(t, pcap(t, ethernet.link, frames), nil)
	checkTranscript(t, found[0], "client: ClientHello", "server: Alert", "closed by the client after ClientHello, unused")
	if found[0].MissingBytes != 3 {
		t.Errorf("%d bytes are missing", found[0].MissingBytes)
	}
}
