package capture_test

import (
	"bytes"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/capture"
)

// conversation returns what is read of an SMTP conversation in plaintext: lines "> text" of the
// client and "< text" of the server, those of one side in a row in one segment.
func conversation(t *testing.T, text string) *capture.Conversation {
	t.Helper()
	var turns []turn
	for line := range strings.Lines(text) {
		direction, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		from := handshake.Server
		if direction == ">" {
			from = handshake.Client
		}
		if n := len(turns); n == 0 || turns[n-1].from != from {
			turns = append(turns, turn{from: from})
		}
		last := &turns[len(turns)-1]
		last.data = append(last.data, rest+"\r\n"...)
	}
	turns = append(turns, turn{from: handshake.Client, fin: true}, turn{from: handshake.Server, fin: true})
	found := read(t, ethernet.pcap(t, segments(turns, 1000, 1000, 2000)), nil)
	if len(found) != 1 {
		t.Fatalf("%d conversations", len(found))
	}
	return found[0]
}

func TestWhatTheServerOffers(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       capture.Offer
		mask       string
	}{
		{"offered", "< 220 a\n> EHLO b\n< 250-a\n< 250-SIZE 1\n< 250 STARTTLS\n> QUIT", capture.Offered, ""},
		{"in lower case", "< 220 a\n> EHLO b\n< 250-a\n< 250 starttls\n> QUIT", capture.Offered, ""},
		{"not offered", "< 220 a\n> EHLO b\n< 250-a\n< 250 SIZE 1\n> QUIT", capture.NotOffered, ""},
		{"no keywords", "< 220 a\n> EHLO b\n< 250 a\n> QUIT", capture.NotOffered, ""},
		{"a name like the keyword", "< 220 a\n> EHLO b\n< 250 STARTTLS\n> QUIT", capture.NotOffered, ""},
		{"HELO has no keywords", "< 220 a\n> HELO b\n< 250 a\n> QUIT", capture.OfferUnknown, ""},
		{"EHLO refused", "< 220 a\n> EHLO b\n< 502 no\n> HELO b\n< 250 a\n> QUIT", capture.OfferUnknown, ""},
		{"reply cut off", "< 220 a\n> EHLO b\n< 250-a\n< 250-SIZE 1", capture.OfferUnknown, ""},
		{"masked by letters", "< 220 a\n> EHLO b\n< 250-a\n< 250-XXXXXXXA\n< 250 SIZE 1\n> QUIT", capture.OfferMasked, "250-XXXXXXXA"},
		{"masked by four letters", "< 220 a\n> EHLO b\n< 250-a\n< 250 XXXA\n> QUIT", capture.OfferMasked, "250 XXXA"},
		{"masked by asterisks", "< 220 a\n> EHLO b\n< 250-a\n< 250 ********\n> QUIT", capture.OfferMasked, "250 ********"},
		{"removed behind a masked greeting", "< 220 ****************2****\n> EHLO b\n< 250 a\n> QUIT", capture.OfferMasked, "220 ****************2****"},
		{"another keyword masked", "< 220 a\n> EHLO b\n< 250-XXXXXXXA\n< 250-XXXXB\n< 250 STARTTLS\n> QUIT", capture.Offered, ""},
		{"an extension of its own", "< 220 a\n> EHLO b\n< 250-a\n< 250-XCLIENT NAME\n< 250 XXX\n> QUIT", capture.NotOffered, ""},
		{"the last EHLO counts", "< 220 a\n> EHLO b\n< 250-a\n< 250 STARTTLS\n> EHLO b\n< 250 a\n> QUIT", capture.NotOffered, ""},
	} {
		got := conversation(t, c.text)
		if got.Offer != c.want || got.Mask != c.mask && c.want == capture.OfferMasked {
			t.Errorf("%s: offer %d, mask %q; want %d, %q", c.name, got.Offer, got.Mask, c.want, c.mask)
		}
	}
}

const toSTARTTLS = "< 220 a\n> EHLO b\n< 250-a\n< 250 STARTTLS\n> STARTTLS\n< 220 go\n"

// After STARTTLS in plaintext: accepted, or refused as it should be.
func TestPlaintextAfterSTARTTLS(t *testing.T) {
	mail := "> MAIL FROM:<a@b.example>\n< 250 ok\n> RCPT TO:<c@d.example>\n< 250 ok\n> DATA\n< 354 go\n> text\n> .\n"
	for _, c := range []struct {
		name, text              string
		inClear, mail, accepted bool
	}{
		{"mail accepted", "> EHLO b\n< 250 a\n" + mail + "< 250 queued\n> QUIT\n< 221 bye", true, true, true},
		{"pipelined", "> EHLO b\n> MAIL FROM:<a@b.example>\n> RCPT TO:<c@d.example>\n> DATA\n< 250 a\n< 250 ok\n< 250 ok\n< 354 go\n> text\n> .\n< 250 queued", true, true, true},
		{"text refused", "> EHLO b\n< 250 a\n" + mail + "< 554 spam\n> QUIT\n< 221 bye", true, true, false},
		{"without EHLO", mail + "< 250 queued", true, true, true},
		{"no mail", "> EHLO b\n< 250 a\n> QUIT\n< 221 bye", true, false, false},
		{"refused", "> EHLO b\n< 554 not TLS", false, false, false},
		{"closed", "> EHLO b", false, false, false},
		{"only the server", "< 250 ok", false, false, false},
		{"not SMTP", "> GET / HTTP/1.0\n< 250 a", false, false, false},
	} {
		got := conversation(t, toSTARTTLS+c.text)
		if got.InClear != c.inClear || got.InClear != (got.Transcript == nil) || got.Mail != c.mail || got.MailAccepted != c.accepted {
			t.Errorf("%s: in clear %v, transcript %v, mail %v, accepted %v", c.name, got.InClear, got.Transcript != nil, got.Mail, got.MailAccepted)
		}
	}
}

// The text of a message, however long and whatever it says, is not taken for commands.
func TestTextIsNotTakenForCommands(t *testing.T) {
	text := bytes.Repeat([]byte("EHLO evil.example\r\nSTARTTLS\r\n"), 4000)
	turns := []turn{
		{from: handshake.Server, data: []byte("220 a\r\n")}, {from: handshake.Client, data: []byte("EHLO b\r\n")},
		{from: handshake.Server, data: []byte("250 a\r\n")}, {from: handshake.Client, data: []byte("DATA\r\n")},
		{from: handshake.Server, data: []byte("354 go\r\n")}, {from: handshake.Client, data: append(text, ".\r\n"...)},
		{from: handshake.Server, data: []byte("250 queued\r\n")}, {from: handshake.Client, fin: true},
	}
	found := read(t, ethernet.pcap(t, segments(turns, 1000, 1000, 2000)), nil)
	if len(found) != 1 || found[0].EHLO != "b" || found[0].StartTLS || !found[0].MailAccepted {
		t.Errorf("read %+v", found[0])
	}
}
