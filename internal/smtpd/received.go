package smtpd

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// receivedField returns the Received field of a message (RFC 5321, Section 4.4).
func (s *session) receivedField(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Received: from %s (%s)\r\n", fieldName(s.greeting), literal(s.addr.Addr()))
	fmt.Fprintf(&b, "\tby %s (Postern) with %s id %s", s.setup.Hostname, s.protocol(), s.messageID())
	if s.tls != nil {
		fmt.Fprintf(&b, "\r\n\t(%s)", DescribeTLS(s.tls))
	}
	if len(s.recipients) == 1 {
		fmt.Fprintf(&b, "\r\n\tfor <%s>", s.recipients[0])
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", now.Format(time.RFC1123Z))
	return b.String()
}

// literal returns an address literal (RFC 5321, Section 4.1.3).
func literal(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		return "[IPv6:" + addr.String() + "]"
	}
	return "[" + addr.String() + "]"
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
	words := strings.ReplaceAll(tls.VersionName(state.Version), " ", "") + " " + tls.CipherSuiteName(state.CipherSuite)
	if state.DidResume {
		return words + " resumed"
	}
	return words
}

// fieldName makes an EHLO name safe for a header field: it may contain anything,
// parentheses included.
func fieldName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(".-_:[]", r):
			return r
		}
		return '?'
	}, name)
}
