package smtpd

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"time"

	"postern/handshake"
)

// receivedLen is more than most Received fields have.
const receivedLen = 512

// receivedField returns the Received field of a message (RFC 5321, Section 4.4).
func (s *session) receivedField(now time.Time) []byte {
	b := make([]byte, 0, receivedLen)
	b = append(b, "Received: from "...)
	b = appendFieldName(b, s.greeting)
	b = append(b, " ("...)
	b = appendLiteral(b, s.addr.Addr())
	b = append(b, ")\r\n\tby "...)
	b = append(b, s.setup.Hostname...)
	b = append(b, " (Postern) with "...)
	b = append(b, s.protocol()...)
	b = append(b, " id "...)
	b = append(b, s.messageID()...)
	if s.tls != nil {
		b = append(b, "\r\n\t("...)
		b = append(b, DescribeTLS(s.tls)...)
		b = append(b, ')')
	}
	if len(s.recipients) == 1 {
		b = append(b, "\r\n\tfor <"...)
		b = append(b, s.recipients[0]...)
		b = append(b, '>')
	}
	b = append(b, ";\r\n\t"...)
	b = now.AppendFormat(b, time.RFC1123Z)
	return append(b, "\r\n"...)
}

// appendLiteral appends an address literal (RFC 5321, Section 4.1.3).
func appendLiteral(b []byte, addr netip.Addr) []byte {
	addr = addr.Unmap().WithZone("")
	b = append(b, '[')
	if addr.Is6() {
		b = append(b, "IPv6:"...)
	}
	return append(addr.AppendTo(b), ']')
}

// protocol returns the word after "with" (RFC 3848; RFC 6531, Section 4.3).
func (s *session) protocol() string {
	word := "SMTP"
	switch {
	case s.mail.UTF8:
		word = "UTF8SMTP"
	case s.extended:
		word = "ESMTP"
	}
	if s.tls != nil && word != "SMTP" {
		word += "S"
	}
	return word
}

// DescribeTLS returns version and cipher suite, and whether the session was resumed.
func DescribeTLS(state *tls.ConnectionState) string {
	version := strings.ReplaceAll(tls.VersionName(state.Version), " ", "")
	words := version + " " + handshake.Suite(state.CipherSuite).String() // tls.CipherSuiteName makes a list first
	if state.DidResume {
		return words + " resumed"
	}
	return words
}

// appendFieldName appends an EHLO name so that it is safe for a header field: it may contain
// anything, parentheses included.
func appendFieldName(b []byte, name string) []byte {
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(".-_:[]", r):
			b = append(b, byte(r))
		default:
			b = append(b, '?')
		}
	}
	return b
}
