package persona

import (
	"slices"
	"strings"
)

// A language is what a client says to reach TLS, and how it reads the answers.
type language struct {
	hello, start, quit string // commands without their ends
	harmless           string // one that changes nothing

	// ends reports whether the last of lines ends the reply to command, which is
	// empty for the greeting.
	ends func(command string, lines []string) bool

	// refuses reports whether a reply is a refusal.
	refuses func(reply []string) bool

	// late reports whether a reply to quit is one to an earlier command.
	late func(reply []string) bool
}

// imapTag are the characters of the tags below (RFC 9051, Section 2.2.1).
const imapTag = "p0123"

// language returns that of p for a client that calls itself name.
func (p Protocol) language(name string) language {
	switch p {
	case IMAP, ImplicitIMAP:
		return language{"p1 CAPABILITY", "p2 STARTTLS", "p3 LOGOUT", "p0 NOOP", endsIMAP, refusesIMAP, lateIMAP}
	case POP3, ImplicitPOP3:
		return language{"CAPA", "STLS", "QUIT", "CAPA", endsPOP3, refusesPOP3, latePOP3}
	}
	return language{"EHLO " + name, "STARTTLS", "QUIT", "NOOP", endsSMTP, refusesSMTP, lateSMTP}
}

// offersTLS reports whether a reply to hello has the keyword of start. It has not where
// a firewall masks it.
func (l language) offersTLS(reply []string) bool {
	keyword := l.start[strings.LastIndexByte(l.start, ' ')+1:]
	return slices.ContainsFunc(reply, func(line string) bool {
		return slices.Contains(strings.FieldsFunc(strings.ToUpper(line), endsWord), keyword)
	})
}

func endsWord(r rune) bool { return r == ' ' || r == '-' || r == '[' || r == ']' }

// endsSMTP is RFC 5321, Section 4.2.1.
func endsSMTP(_ string, lines []string) bool {
	line := lines[len(lines)-1]
	return len(line) < 4 || line[3] != '-'
}

func refusesSMTP(reply []string) bool {
	last := reply[len(reply)-1]
	return !strings.HasPrefix(last, "2") && !strings.HasPrefix(last, "3")
}

func lateSMTP(reply []string) bool { return strings.HasPrefix(reply[0], "250") }

// endsIMAP takes each tagged line for an end, whatever it answers (RFC 9051, Section 2.2.2).
func endsIMAP(command string, lines []string) bool {
	return command == "" || !strings.HasPrefix(lines[len(lines)-1], "* ")
}

func refusesIMAP(reply []string) bool {
	_, status, _ := strings.Cut(reply[len(reply)-1], " ")
	return !strings.HasPrefix(strings.ToUpper(status), "OK")
}

func lateIMAP(reply []string) bool { return !strings.HasPrefix(reply[len(reply)-1], "p3 ") }

// endsPOP3 is RFC 1939, Section 3: of our commands CAPA alone has a reply of several
// lines (RFC 2449, Section 5).
func endsPOP3(command string, lines []string) bool {
	return command != "CAPA" || refusesPOP3(lines) || lines[len(lines)-1] == "."
}

func refusesPOP3(reply []string) bool { return !strings.HasPrefix(reply[0], "+OK") }

// latePOP3 cannot tell: the first line to CAPA and to QUIT may be the same. The rest of
// CAPA's is waiting then.
func latePOP3([]string) bool { return false }
