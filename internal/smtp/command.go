package smtp

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/internal/safetext"
)

// ParseCommand cuts a command line, given without its CRLF, into the verb in upper
// case and the argument without surrounding spaces.
//
// It refuses control characters, also those beyond ASCII, line separators and
// bytes that are not UTF-8, so that the result can be logged and passed on. Its
// error is a [*Refusal].
func ParseCommand(line []byte) (verb, arg string, err error) {
	command := string(line)
	if err := checkCharacters(command); err != nil {
		return "", "", err
	}
	verb, arg, _ = strings.Cut(command, " ")
	return strings.ToUpper(verb), strings.Trim(arg, " \t"), nil
}

// checkCharacters refuses what must not be logged or passed on.
func checkCharacters(command string) error {
	if safetext.IsPrintableASCII(command) {
		return nil
	}
	if !utf8.ValidString(command) {
		return refuse(500, "5.5.2", "command is not UTF-8 (RFC 6531)")
	}
	for _, r := range command {
		if unicode.IsControl(r) && r != '\t' || unicode.In(r, unicode.Zl, unicode.Zp) {
			return refuse(500, "5.5.2", "control character in command")
		}
	}
	return nil
}

// ParseMail parses the argument of MAIL. It refuses parameters of extensions that
// are not in offered (RFC 5321, Section 4.1.1.11). Its error is a [*Refusal].
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
		err = refuse(553, "5.6.7", "non-ASCII address needs SMTPUTF8 (RFC 6531)")
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
	const far = 1 << 60 // RFC 1870 allows 20 digits; every message of this size is too large
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

// ParseRecipient parses the argument of RCPT. A source route is accepted and
// ignored (RFC 5321, Section 3.3 and Appendix C). Only postmaster may lack a
// domain (RFC 5321, Section 4.1.1.3). Its error is a [*Refusal].
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
		return Recipient{}, refuse(553, "5.6.7", "non-ASCII address needs SMTPUTF8 (RFC 6531)")
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

// Bounds of RFC 3461, Sections 4.2 and 4.4.
const (
	maxEnvelopeID = 100
	maxOriginal   = 500
)

// maxShown bounds what a reply shows of a parameter's name, in bytes.
const maxShown = 40

// eachParam calls set for each ESMTP parameter, with the key in upper case. It
// refuses a key that occurs twice.
func eachParam(params string, set func(key, value string) error) error {
	seen := make(map[string]bool)
	for param := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(param, "=")
		key = strings.ToUpper(key)
		if seen[key] {
			return refuse(501, "5.5.4", "parameter "+safetext.Reply(key, maxShown)+" given twice")
		}
		seen[key] = true
		if err := set(key, value); err != nil {
			return err
		}
	}
	return nil
}

func unknownParam(key string) error {
	return refuse(555, "5.5.4", "parameter "+safetext.Reply(key, maxShown)+" not offered")
}

func badParam(key string) error {
	return refuse(501, "5.5.4", "bad value for parameter "+safetext.Reply(key, maxShown))
}

func noValue(key, value string) error {
	if value != "" {
		return badParam(key)
	}
	return nil
}

// checkXtext refuses a value that is not printable ASCII or is longer than limit.
// The value stays encoded, since it is only passed on (RFC 3461, Section 4).
func checkXtext(key, value string, limit int) error {
	if value == "" || len(value) > limit {
		return badParam(key)
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return badParam(key)
		}
	}
	return nil
}

// checkNotify accepts NEVER alone, or a list of the others, each once (RFC 3461,
// Section 4.1).
func checkNotify(value string) error {
	if value == "NEVER" {
		return nil
	}
	seen := make(map[string]bool)
	for word := range strings.SplitSeq(value, ",") {
		if seen[word] || word != "SUCCESS" && word != "FAILURE" && word != "DELAY" {
			return badParam("NOTIFY")
		}
		seen[word] = true
	}
	return nil
}

// Append appends the MAIL command to b, with CRLF and the parameters that m has set.
// The caller clears those that the server does not offer.
func (m Mail) Append(b []byte) []byte {
	b = append(b, "MAIL FROM:<"...)
	b = append(b, m.From...)
	b = append(b, '>')
	if m.Size > 0 {
		b = append(b, " SIZE="...)
		b = strconv.AppendInt(b, m.Size, 10)
	}
	b = appendFlag(b, m.EightBit, "BODY=8BITMIME")
	b = appendFlag(b, m.UTF8, "SMTPUTF8")
	b = appendFlag(b, m.RequireTLS, "REQUIRETLS")
	b = appendParam(b, "RET", m.Return)
	b = appendParam(b, "ENVID", m.EnvelopeID)
	return append(b, '\r', '\n')
}

// Append appends the RCPT command to b, with CRLF and the parameters that r has set.
// The caller clears those that the server does not offer.
func (r Recipient) Append(b []byte) []byte {
	b = append(b, "RCPT TO:<"...)
	b = append(b, r.To...)
	b = append(b, '>')
	b = appendParam(b, "NOTIFY", r.Notify)
	b = appendParam(b, "ORCPT", r.Original)
	return append(b, '\r', '\n')
}

func appendFlag(b []byte, set bool, word string) []byte {
	if !set {
		return b
	}
	b = append(b, ' ')
	return append(b, word...)
}

func appendParam(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, key...)
	b = append(b, '=')
	return append(b, value...)
}

// Mail is the content of a MAIL command (RFC 5321, Section 4.1.1.2).
type Mail struct {
	From       string // the mailbox, "" for the null reverse-path <>
	Size       int64  // SIZE=, 0 if not given (RFC 1870)
	EightBit   bool   // BODY=8BITMIME (RFC 6152)
	UTF8       bool   // SMTPUTF8 (RFC 6531)
	RequireTLS bool   // REQUIRETLS (RFC 8689)
	Return     string // RET= FULL or HDRS, "" if not given (RFC 3461)
	EnvelopeID string // ENVID= as xtext, "" if not given (RFC 3461)
}

// Recipient is the content of a RCPT command (RFC 5321, Section 4.1.1.3).
type Recipient struct {
	To       string // the mailbox, without a source route
	Notify   string // NOTIFY= as given, "" if not given (RFC 3461)
	Original string // ORCPT= as given, "" if not given (RFC 3461)
}

// AppendXtext appends s to b as xtext: bytes that are not printable ASCII, "+" and
// "=" become "+" and two hexadecimal digits (RFC 3461, Section 4).
func AppendXtext(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c > '~' || c == '+' || c == '=' {
			b = append(b, '+', digits[c>>4], digits[c&15])
			continue
		}
		b = append(b, c)
	}
	return b
}

// decodeXtext returns what [AppendXtext] was given, and reports whether xtext is valid.
func decodeXtext(xtext string) (s string, ok bool) {
	b := make([]byte, 0, len(xtext))
	for i := 0; i < len(xtext); i++ {
		switch c := xtext[i]; {
		case c <= ' ' || c > '~' || c == '=':
			return "", false
		case c == '+':
			if len(xtext) < i+3 {
				return "", false
			}
			n, err := strconv.ParseUint(xtext[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b = append(b, byte(n))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}
