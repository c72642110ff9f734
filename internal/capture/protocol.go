package capture

import (
	"bytes"
	"strings"
)

// A Protocol is the protocol of a connection before TLS, or without it.
type Protocol string

// The protocols.
const (
	None Protocol = ""     // implicit TLS, or the capture begins later
	SMTP Protocol = "SMTP" // or LMTP
	IMAP Protocol = "IMAP"
	POP3 Protocol = "POP3"
)

// serverProtocol returns the protocol that a line of the server belongs to, or None.
func serverProtocol(line []byte) Protocol {
	switch {
	case isReply(line):
		return SMTP
	case bytes.HasPrefix(line, []byte("* ")):
		return IMAP
	case bytes.HasPrefix(line, []byte("+OK")), bytes.HasPrefix(line, []byte("-ERR")):
		return POP3
	}
	return None
}

// clientProtocol returns the protocol that a line of the client belongs to, or None.
func clientProtocol(line []byte) Protocol {
	switch verb, rest := cutVerb(line); verb {
	case "EHLO", "HELO", "LHLO", "STARTTLS":
		return SMTP
	case "STLS":
		return POP3
	default:
		if command, _ := cutVerb(rest); command == "STARTTLS" {
			return IMAP
		}
	}
	return None
}

// isReply reports whether a line is part of an SMTP reply (RFC 5321, Section 4.2).
func isReply(line []byte) bool {
	return len(line) >= 3 && line[0] >= '2' && line[0] <= '5' && isDigit(line[1]) && isDigit(line[2]) &&
		(len(line) == 3 || line[3] == ' ' || line[3] == '-')
}

// isContinued reports whether more lines of an SMTP reply follow.
func isContinued(line []byte) bool { return isReply(line) && len(line) > 3 && line[3] == '-' }

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// A startTLSReply has the prefixes of the replies to a STARTTLS command.
type startTLSReply struct {
	accept string
	refuse []string
}

// startTLSReplyTo returns the replies to a line of the client, or nil if it does not ask
// for TLS: RFC 3207, Section 4 (SMTP), RFC 2595, Section 4 (POP3), and RFC 9051,
// Section 6.2.1 (IMAP, where the reply has the tag of the command).
func startTLSReplyTo(line []byte) *startTLSReply {
	verb, rest := cutVerb(line)
	switch verb {
	case "STARTTLS":
		return &startTLSReply{"220", []string{"4", "5"}}
	case "STLS":
		return &startTLSReply{"+OK", []string{"-ERR"}}
	}
	if command, _ := cutVerb(rest); command == "STARTTLS" {
		tag, _, _ := strings.Cut(string(line), " ")
		return &startTLSReply{tag + " OK", []string{tag + " NO", tag + " BAD"}}
	}
	return nil
}

func (r *startTLSReply) accepts(line []byte) bool {
	return bytes.HasPrefix(line, []byte(r.accept)) && !isContinued(line)
}

func (r *startTLSReply) refuses(line []byte) bool {
	for _, prefix := range r.refuse {
		if bytes.HasPrefix(line, []byte(prefix)) && !isContinued(line) {
			return true
		}
	}
	return false
}

// cutVerb splits a line into its first word, in upper case, and the rest.
func cutVerb(line []byte) (verb string, rest []byte) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	return strings.ToUpper(string(bytes.TrimSpace(word))), bytes.TrimSpace(rest)
}
