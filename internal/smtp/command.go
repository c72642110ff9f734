package smtp

import (
	"postern/internal/safetext"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseCommand cuts a command line, without its CRLF, into the verb in upper
// case and the argument without surrounding spaces.
//
// It refuses control characters, those beyond ASCII too, line separators and
// bytes that are not UTF-8, so that what follows can be logged and passed on.
func ParseCommand(line []byte) (verb, arg string, err error) {
	if !utf8.Valid(line) {
		return "", "", refuse(500, "5.5.2", "command is not UTF-8 (RFC 6531)")
	}
	for _, r := range string(line) {
		if unicode.IsControl(r) && r != '\t' || unicode.In(r, unicode.Zl, unicode.Zp) {
			return "", "", refuse(500, "5.5.2", "control character in command")
		}
	}
	verb, arg, _ = strings.Cut(string(line), " ")
	return strings.ToUpper(verb), strings.Trim(arg, " \t"), nil
}

// ParseMail reads the argument of MAIL. Parameters of extensions that are not
// in offered are refused (RFC 5321, Section 4.1.1.11).
//
// Its error is a *Refusal.
func ParseMail(arg string, offered Extensions) (Mail, error) {
	path, params, err := cutPath(arg, "FROM:")
	if err != nil {
		return Mail{}, err
	}
	mail := Mail{}
	if path != "" {
		if mail.From, err = parseMailbox(path); err != nil {
			return Mail{}, err
		}
	}
	err = eachParam(params, func(key, value string) error {
		return mail.set(key, value, offered)
	})
	if err == nil && !mail.UTF8 && !safetext.IsASCII(mail.From) {
		err = refuse(553, "5.6.7", "address beyond ASCII needs SMTPUTF8 (RFC 6531)")
	}
	return mail, err
}

func (m *Mail) set(key, value string, offered Extensions) error {
	switch {
	case key == "SIZE":
		return m.setSize(value)
	case key == "BODY" && offered.EightBitMIME:
		return m.setBody(value)
	case key == "SMTPUTF8" && offered.SMTPUTF8:
		m.UTF8 = true
		return noValue(key, value)
	case key == "REQUIRETLS" && offered.RequireTLS:
		m.RequireTLS = true
		return noValue(key, value)
	case key == "RET" && offered.DSN:
		m.Return = strings.ToUpper(value)
		if m.Return != "FULL" && m.Return != "HDRS" {
			return badParam(key)
		}
		return nil
	case key == "ENVID" && offered.DSN:
		m.EnvelopeID = value
		return checkXtext(key, value, maxEnvelopeID)
	}
	return unknownParam(key)
}

func (m *Mail) setSize(value string) error {
	if len(value) == 0 || len(value) > 20 {
		return badParam("SIZE")
	}
	const far = 1 << 60 // RFC 1870 allows 20 digits; beyond this all are too large
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return badParam("SIZE")
		}
		m.Size = min(m.Size*10+int64(value[i]-'0'), far/10)
	}
	return nil
}

func (m *Mail) setBody(value string) error {
	switch strings.ToUpper(value) {
	case "7BIT":
		return nil
	case "8BITMIME":
		m.EightBit = true
		return nil
	}
	return badParam("BODY")
}

// ParseRecipient reads the argument of RCPT. A source route is accepted and
// ignored (RFC 5321, Section 3.3 and Appendix C). The mailbox has no domain
// only where it is postmaster (RFC 5321, Section 4.1.1.3).
//
// Its error is a *Refusal.
func ParseRecipient(arg string, utf8 bool, offered Extensions) (Recipient, error) {
	path, params, err := cutPath(arg, "TO:")
	if err != nil {
		return Recipient{}, err
	}
	rcpt := Recipient{To: path}
	if !strings.EqualFold(path, "postmaster") {
		if rcpt.To, err = parseMailbox(path); err != nil {
			return Recipient{}, err
		}
	}
	if !utf8 && !safetext.IsASCII(rcpt.To) {
		return Recipient{}, refuse(553, "5.6.7", "address beyond ASCII needs SMTPUTF8 (RFC 6531)")
	}
	err = eachParam(params, func(key, value string) error {
		return rcpt.set(key, value, offered)
	})
	return rcpt, err
}

func (r *Recipient) set(key, value string, offered Extensions) error {
	switch {
	case key == "NOTIFY" && offered.DSN:
		r.Notify = strings.ToUpper(value)
		return checkNotify(r.Notify)
	case key == "ORCPT" && offered.DSN:
		r.Original = value
		kind, address, ok := strings.Cut(value, ";")
		if !ok || kind == "" || address == "" {
			return badParam(key)
		}
		return checkXtext(key, value, maxOriginal)
	}
	return unknownParam(key)
}
