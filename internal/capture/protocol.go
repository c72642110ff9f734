package capture

import (
	"bytes"
	"strings"
)

// A Protocol is what both sides spoke in the clear, before TLS or without it.
type Protocol string

// The protocols.
const (
	None Protocol = ""     // TLS from the first byte, or the capture begins later
	SMTP Protocol = "SMTP" // or LMTP
	IMAP Protocol = "IMAP"
	POP3 Protocol = "POP3"
)

// ofServer tells the protocol by a line of the server; None: not by this one.
func ofServer(line []byte) Protocol {
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

// ofClient tells the protocol by a line of the client; None: not by this one.
func ofClient(line []byte) Protocol {
	switch verb, rest := cutVerb(line); verb {
	case "EHLO", "HELO", "LHLO", "STARTTLS":
		return SMTP
	case "STLS":
		return POP3
	default:
		if second, _ := cutVerb(rest); second == "STARTTLS" {
			return IMAP
		}
	}
	return None
}

// isReply reports whether a line is one of an SMTP reply (RFC 5321, Section 4.2).
func isReply(line []byte) bool {
	return len(line) >= 3 && line[0] >= '2' && line[0] <= '5' && isDigit(line[1]) && isDigit(line[2]) &&
		(len(line) == 3 || line[3] == ' ' || line[3] == '-')
}

// goesOn reports whether a line is one of an SMTP reply and not its last.
func goesOn(line []byte) bool { return isReply(line) && len(line) > 3 && line[3] == '-' }

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// An answer is how the server's answer to STARTTLS begins.
type answer struct {
	yes string
	no  []string
}

// awaited is the answer to a client's line if that asks for TLS, else nil: RFC 3207,
// Section 4 (SMTP); RFC 2595, Section 4 (POP3); RFC 9051, Section 6.2.1 (IMAP,
// where the answer has the command's tag).
func awaited(line []byte) *answer {
	verb, rest := cutVerb(line)
	switch verb {
	case "STARTTLS":
		return &answer{"220", []string{"4", "5"}}
	case "STLS":
		return &answer{"+OK", []string{"-ERR"}}
	}
	if second, _ := cutVerb(rest); second == "STARTTLS" {
		tag, _, _ := strings.Cut(string(line), " ")
		return &answer{tag + " OK", []string{tag + " NO", tag + " BAD"}}
	}
	return nil
}

func (a *answer) isYes(line []byte) bool {
	return bytes.HasPrefix(line, []byte(a.yes)) && !goesOn(line)
}

func (a *answer) isNo(line []byte) bool {
	for _, no := range a.no {
		if bytes.HasPrefix(line, []byte(no)) && !goesOn(line) {
			return true
		}
	}
	return false
}

// cutVerb parts a line into its first word, in capitals, and the rest.
func cutVerb(line []byte) (verb string, rest []byte) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	return strings.ToUpper(string(bytes.TrimSpace(word))), bytes.TrimSpace(rest)
}
