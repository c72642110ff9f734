package relay

import (
	"strings"
	"testing"

	"postern/internal/smtp"
)

// offering is a connection to a server with these capabilities.
func offering(keywords string, verified bool) *conn {
	c := &conn{caps: smtp.Capabilities{}, verified: verified}
	for keyword := range strings.FieldsSeq(keywords) {
		c.caps[keyword] = ""
	}
	return c
}

func TestMailLine(t *testing.T) {
	whole := smtp.Mail{From: "a@example.org", Size: 9, Return: "FULL", EnvelopeID: "x"}
	for _, tt := range []struct {
		name     string
		mail     smtp.Mail
		offers   string
		verified bool
		want     string
	}{
		{"plain", smtp.Mail{From: "a@example.org"}, "", false, "MAIL FROM:<a@example.org>"},
		{"null sender", smtp.Mail{}, "", false, "MAIL FROM:<>"},
		{"all offered", whole, "SIZE DSN", false, "MAIL FROM:<a@example.org> SIZE=9 RET=FULL ENVID=x"},
		{"no SIZE", whole, "DSN", false, "MAIL FROM:<a@example.org> RET=FULL ENVID=x"},
		{"no DSN", whole, "SIZE", false, "MAIL FROM:<a@example.org> SIZE=9"},
		{"8-bit", smtp.Mail{EightBit: true}, "8BITMIME", false, "MAIL FROM:<> BODY=8BITMIME"},
		{"8-bit, not offered", smtp.Mail{EightBit: true}, "", false, "451 4.6.3"},
		{"UTF-8", smtp.Mail{UTF8: true}, "SMTPUTF8", false, "MAIL FROM:<> SMTPUTF8"},
		{"UTF-8, not offered", smtp.Mail{UTF8: true}, "8BITMIME", false, "550 5.6.7"},
		{"REQUIRETLS", smtp.Mail{RequireTLS: true}, "REQUIRETLS", true, "MAIL FROM:<> REQUIRETLS"},
		{"REQUIRETLS, not offered", smtp.Mail{RequireTLS: true}, "", true, "550 5.7.30"},
		{"REQUIRETLS, not verified", smtp.Mail{RequireTLS: true}, "REQUIRETLS", false, "550 5.7.30"},
	} {
		line, refusal := mailLine(tt.mail, offering(tt.offers, tt.verified))
		checkLine(t, tt.name, line, refusal, tt.want)
	}
}

func TestRcptLine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rcpt   smtp.Recipient
		offers string
		want   string
	}{
		{"plain", smtp.Recipient{To: "b@example.org"}, "", "RCPT TO:<b@example.org>"},
		{"DSN", smtp.Recipient{To: "b@x", Notify: "SUCCESS", Original: "rfc822;b@x"}, "DSN", "RCPT TO:<b@x> NOTIFY=SUCCESS ORCPT=rfc822;b@x"},
		{"no DSN, failure", smtp.Recipient{To: "b@x", Notify: "FAILURE,DELAY", Original: "rfc822;b@x"}, "", "RCPT TO:<b@x>"},
		{"no DSN, never", smtp.Recipient{To: "b@x", Notify: "NEVER"}, "", "RCPT TO:<b@x>"},
		{"no DSN, success", smtp.Recipient{To: "b@x", Notify: "FAILURE,SUCCESS"}, "", "451 4.3.3"},
	} {
		line, refusal := rcptLine(tt.rcpt, offering(tt.offers, false))
		checkLine(t, tt.name, line, refusal, tt.want)
	}
}

func checkLine(t *testing.T, name string, line []byte, refusal *smtp.Reply, want string) {
	t.Helper()
	got := strings.TrimSuffix(string(line), "\r\n")
	if refusal != nil {
		got, _, _ = strings.Cut(refusal.String(), " next hop")
	}
	if got != want {
		t.Errorf("%s: %s, want %s", name, got, want)
	}
}
