package relay

import (
	"strings"

	"postern/internal/smtp"
)

// What a sender asked for on the strength of an earlier conversation, and the
// server does not offer in this one. The permanent replies are those that the
// extension's RFC asks for.
var (
	noUTF8       = smtp.NewReply(550, "5.6.7", "next hop takes no internationalized mail (RFC 6531)")
	noRequireTLS = smtp.NewReply(550, "5.7.30", "next hop cannot keep REQUIRETLS (RFC 8689)")
	// The sender can rewrite the message (RFC 6152, Section 3): when it comes
	// back it is not offered 8BITMIME any more.
	noEightBit = smtp.NewReply(451, "4.6.3", "next hop takes no 8BITMIME just now (RFC 6152)")
	noSuccess  = smtp.NewReply(451, "4.3.3", "next hop reports no success just now (RFC 3461)")
)

// mailLine is the MAIL command as far as the server can keep its promises.
//
// SIZE is a hint and is dropped where it is not offered. So are RET and ENVID,
// which shape a report and do not ask for one (RFC 3461, Section 5.2.2).
func mailLine(mail smtp.Mail, c *conn) ([]byte, *smtp.Reply) {
	has := c.extensions()
	switch {
	case mail.UTF8 && !has.SMTPUTF8:
		return nil, &noUTF8
	case mail.RequireTLS && !has.RequireTLS:
		return nil, &noRequireTLS
	case mail.EightBit && !has.EightBitMIME:
		return nil, &noEightBit
	}
	if !c.caps.Has("SIZE") {
		mail.Size = 0
	}
	if !has.DSN {
		mail.Return, mail.EnvelopeID = "", ""
	}
	return mail.Append(nil), nil
}

// rcptLine is the RCPT command as far as the server can keep its promises.
//
// Without DSN, NOTIFY of failures is what servers do anyway, and NEVER can only
// be hoped for. But for SUCCESS the last server that knows DSN has to write a
// report (RFC 3461, Section 5.2.2), which we cannot: the sender can, when it
// comes back and is not offered DSN any more.
func rcptLine(rcpt smtp.Recipient, c *conn) ([]byte, *smtp.Reply) {
	if !c.extensions().DSN {
		if strings.Contains(rcpt.Notify, "SUCCESS") {
			return nil, &noSuccess
		}
		rcpt.Notify, rcpt.Original = "", ""
	}
	return rcpt.Append(nil), nil
}
