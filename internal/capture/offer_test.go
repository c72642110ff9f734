package capture_test

import (
	"fmt"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/capture"
)

// conversation returns what is read of the lines of a conversation, as of play, that the client
// ends.
func conversation(t *testing.T, text string) *capture.Conversation {
	t.Helper()
	turns := append(play(strings.Split(strings.TrimSpace(text), "\n")...),
		turn{from: handshake.Client, fin: true}, turn{from: handshake.Server, fin: true})
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
		{"offered", "S: 220 a\nC: EHLO b\nS: 250-a | 250-SIZE 1 | 250 STARTTLS\nC: QUIT", capture.Offered, ""},
		{"in lower case", "S: 220 a\nC: EHLO b\nS: 250-a | 250 starttls\nC: QUIT", capture.Offered, ""},
		{"not offered", "S: 220 a\nC: EHLO b\nS: 250-a | 250 SIZE 1\nC: QUIT", capture.NotOffered, ""},
		{"no keywords", "S: 220 a\nC: EHLO b\nS: 250 a\nC: QUIT", capture.NotOffered, ""},
		{"a name like the keyword", "S: 220 a\nC: EHLO b\nS: 250 STARTTLS\nC: QUIT", capture.NotOffered, ""},
		{"HELO has no keywords", "S: 220 a\nC: HELO b\nS: 250 a\nC: QUIT", capture.OfferUnknown, ""},
		{"EHLO refused", "S: 220 a\nC: EHLO b\nS: 502 no\nC: HELO b\nS: 250 a\nC: QUIT", capture.OfferUnknown, ""},
		{"reply cut off", "S: 220 a\nC: EHLO b\nS: 250-a | 250-SIZE 1", capture.OfferUnknown, ""},
		{"masked by letters", "S: 220 a\nC: EHLO b\nS: 250-a | 250-XXXXXXXA | 250 SIZE 1\nC: QUIT", capture.OfferMasked, "250-XXXXXXXA"},
		{"masked by four letters", "S: 220 a\nC: EHLO b\nS: 250-a | 250 XXXA\nC: QUIT", capture.OfferMasked, "250 XXXA"},
		{"masked by asterisks", "S: 220 a\nC: EHLO b\nS: 250-a | 250 ********\nC: QUIT", capture.OfferMasked, "250 ********"},
		{"removed behind a masked greeting", "S: 220 ****************2****\nC: EHLO b\nS: 250 a\nC: QUIT", capture.OfferMasked, "220 ****************2****"},
		{"another keyword masked", "S: 220 a\nC: EHLO b\nS: 250-XXXXXXXA | 250-XXXXB | 250 STARTTLS\nC: QUIT", capture.Offered, ""},
		{"an extension of its own", "S: 220 a\nC: EHLO b\nS: 250-a | 250-XCLIENT NAME | 250 XXX\nC: QUIT", capture.NotOffered, ""},
		{"made anonymous", "S: 220 a\nC: EHLO b\nS: 250-a | 250-xxxxxxxx | 250 SIZE 1\nC: QUIT", capture.NotOffered, ""},
		{"EHLO before the greeting", "C: EHLO b\nS: 220-XXXXXXXX a | 220-XXXXXXXX | 220 b\nS: 250-a | 250 STARTTLS\nC: QUIT", capture.Offered, ""},
		{"EHLO within the greeting", "S: 220-XXXXXXXX a\nC: EHLO b\nS: 220-XXXXXXXX | 220 b\nS: 250-a | 250 SIZE 1\nC: QUIT", capture.NotOffered, ""},
		{"the last EHLO counts", "S: 220 a\nC: EHLO b\nS: 250-a | 250 STARTTLS\nC: EHLO b\nS: 250 a\nC: QUIT", capture.NotOffered, ""},
	} {
		got := conversation(t, c.text)
		if got.Offer != c.want || got.Mask != c.mask && c.want == capture.OfferMasked {
			t.Errorf("%s: offer %d, mask %q; want %d, %q", c.name, got.Offer, got.Mask, c.want, c.mask)
		}
	}
}

const toSTARTTLS = "S: 220 a\nC: EHLO b\nS: 250-a | 250 STARTTLS\nC: STARTTLS\nS: 220 go\n"

// After STARTTLS in plaintext: accepted, or refused as it should be.
func TestPlaintextAfterSTARTTLS(t *testing.T) {
	mail := "C: MAIL FROM:<a@b.example>\nS: 250 ok\nC: RCPT TO:<c@d.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: text | .\n"
	for _, c := range []struct {
		name, text                  string
		inPlaintext, mail, accepted bool
	}{
		{"mail accepted", "C: EHLO b\nS: 250 a\n" + mail + "S: 250 queued\nC: QUIT\nS: 221 bye", true, true, true},
		{"pipelined", "C: EHLO b | MAIL FROM:<a@b.example> | RCPT TO:<c@d.example> | DATA\nS: 250 a | 250 ok | 250 ok | 354 go\nC: text | .\nS: 250 queued", true, true, true},
		{"in chunks", "C: EHLO b\nS: 250 a\nC: MAIL FROM:<a@b.example> | RCPT TO:<c@d.example> | BDAT 6 | text\nS: 250 ok | 250 ok | 250 ok\nC: BDAT 3 LAST | a\nS: 250 queued\nC: QUIT", true, true, true},
		{"the last chunk refused", "C: EHLO b\nS: 250 a\nC: MAIL FROM:<a@b.example> | RCPT TO:<c@d.example> | BDAT 6 LAST | text\nS: 250 ok | 250 ok | 554 spam\nC: QUIT\nS: 221 bye", true, true, false},
		{"no reply to the last chunk", "C: EHLO b\nS: 250 a\nC: MAIL FROM:<a@b.example> | RCPT TO:<c@d.example> | BDAT 6 LAST | text\nS: 250 ok | 250 ok", true, true, false},
		{"a chunk without a length", "C: EHLO b\nS: 250 a\nC: MAIL FROM:<a@b.example> | BDAT LAST\nS: 250 ok | 501 no", true, true, false},
		{"text refused", "C: EHLO b\nS: 250 a\n" + mail + "S: 554 spam\nC: QUIT\nS: 221 bye", true, true, false},
		{"without EHLO", mail + "S: 250 queued", true, true, true},
		{"no mail", "C: EHLO b\nS: 250 a\nC: QUIT\nS: 221 bye", true, false, false},
		{"refused", "C: EHLO b\nS: 554 not TLS", false, false, false},
		{"closed", "C: EHLO b", false, false, false},
		{"only the server", "S: 250 ok", false, false, false},
		{"not SMTP", "C: GET / HTTP/1.0\nS: 250 a", false, false, false},
	} {
		got := conversation(t, toSTARTTLS+c.text)
		if got.InPlaintext != c.inPlaintext || got.InPlaintext != (got.Transcript == nil) || got.Mail != c.mail || got.MailAccepted != c.accepted {
			t.Errorf("%s: in plaintext %v, transcript %v, mail %v, accepted %v", c.name, got.InPlaintext, got.Transcript != nil, got.Mail, got.MailAccepted)
		}
	}
}

// The text of a message, however long and whatever it says, is not taken for commands.
func TestTextIsNotTakenForCommands(t *testing.T) {
	text := strings.Repeat("EHLO evil.example\r\nSTARTTLS\r\n"+hello, 4000)
	for name, turns := range map[string][]turn{
		"DATA":               play("S: 220 a", "C: EHLO b", "S: 250 a", "C: DATA", "S: 354 go", "C* "+text+"\r\n.\r\n", "S: 250 queued"),
		"DATA, before reply": play("S: 220 a", "C: EHLO b", "S: 250 a", "C: DATA", "C* "+text+"\r\n.\r\n", "S: 354 go", "S: 250 queued"),
		"BDAT":               play("S: 220 a", "C: EHLO b", "S: 250 a", fmt.Sprintf("C* BDAT %d LAST\r\n%s", len(text), text), "S: 250 queued"),
	} {
		found := read(t, ethernet.pcap(t, segments(turns, 1000, 1000, 2000)), nil)
		if len(found) != 1 || found[0].EHLO != "b" || found[0].StartTLS || found[0].Transcript != nil || !found[0].MailAccepted {
			t.Errorf("%s: read %+v", name, found[0])
		}
	}
}
