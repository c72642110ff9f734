package smtp

import (
	"strings"

	"golang.org/x/net/idna"

	"postern/internal/safetext"
)

// Bounds in bytes. RFC 5321, Section 4.5.3.1, has 64 for a local part, but senders
// that rewrite addresses (SRS, BATV, VERP) write longer ones.
const (
	maxLocalPart = 256
	maxDomain    = 255
)

// cutPath cuts "FROM:<path> params" into path and params. Spaces before the path
// are accepted, since many clients write one; a path without brackets is not.
func cutPath(arg, keyword string) (path, params string, err error) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", "", refuse(501, "5.5.4", "expected "+keyword+"<address>")
	}
	arg = strings.TrimLeft(arg[len(keyword):], " \t")
	if !strings.HasPrefix(arg, "<") {
		return "", "", refuse(501, "5.5.4", "address must be in <>")
	}
	end := pathEnd(arg)
	if end < 0 {
		return "", "", refuse(501, "5.5.4", "address lacks the closing >")
	}
	path, params = arg[1:end], arg[end+1:]
	if params != "" && params[0] != ' ' && params[0] != '\t' {
		return "", "", refuse(501, "5.5.4", "expected a space after the address")
	}
	return path, params, nil
}

// pathEnd returns the index of the > that closes the path, not of one in a quoted
// local part, or -1.
func pathEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return i
		}
	}
	return -1
}

// PathIn returns the path in the argument of MAIL or RCPT, without checking it: what a
// refused command was about. It is empty if there is none.
func PathIn(arg string) string {
	begin := strings.IndexByte(arg, '<')
	if begin < 0 {
		return ""
	}
	arg = arg[begin:]
	end := pathEnd(arg)
	if end < 0 {
		return ""
	}
	return strings.TrimLeft(arg[:end], "<")
}

// parseMailbox checks a path and returns its mailbox, without the source route.
func parseMailbox(path string) (string, error) {
	if strings.HasPrefix(path, "@") {
		_, path, _ = strings.Cut(path, ":")
	}
	local, domain, ok := SplitMailbox(path)
	if !ok || !validLocal(local) || !validDomain(domain) {
		return "", badAddress()
	}
	return path, nil
}

func badAddress() error {
	return refuse(553, "5.1.3", "bad address syntax")
}

// SplitMailbox splits a mailbox at its last @ into local part and domain.
func SplitMailbox(mailbox string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(mailbox, '@')
	if at < 0 {
		return "", "", false
	}
	return mailbox[:at], mailbox[at+1:], true
}

// validLocal reports whether local is a quoted string or a dot-string. Dots may be
// anywhere: some providers have given out addresses such as a..b@.
func validLocal(local string) bool {
	if local == "" || len(local) > maxLocalPart {
		return false
	}
	if local[0] == '"' {
		return validQuoted(local)
	}
	return !strings.ContainsAny(local, "\"\\<>()[],;: \t@")
}

func validQuoted(local string) bool {
	if len(local) < 2 || local[len(local)-1] != '"' {
		return false
	}
	inner := local[1 : len(local)-1]
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return false
		case '\\':
			i++
			if i == len(inner) {
				return false
			}
		}
	}
	return true
}

// validDomain reports whether domain is a domain name or an address literal. An
// underscore is accepted, against RFC 5321, since hosts with such names send mail.
func validDomain(domain string) bool {
	if domain == "" || len(domain) > maxDomain {
		return false
	}
	if domain[0] == '[' {
		inner, ok := strings.CutSuffix(domain[1:], "]")
		return ok && inner != "" && !strings.ContainsAny(inner, "[]<>\\\" \t")
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 && safetext.IsASCII(label) {
			return false
		}
	}
	return !strings.ContainsAny(domain, "\"\\<>()[],;: \t@!%")
}

// FoldMailbox returns a form of mailbox that can be compared: without case, also
// in the local part, as nearly all mail servers compare it.
func FoldMailbox(mailbox string) string {
	local, domain, _ := SplitMailbox(mailbox)
	return strings.ToLower(local) + "@" + FoldDomain(domain)
}

// MailboxDomain returns the domain of a mailbox as [FoldDomain] does; empty if it has none.
func MailboxDomain(mailbox string) string {
	_, domain, _ := SplitMailbox(mailbox)
	return FoldDomain(domain)
}

// FoldDomain returns a form of domain that can be compared: lower case, A-labels, no
// final dot.
func FoldDomain(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if safetext.IsASCII(domain) && !strings.Contains(domain, "xn--") {
		return domain // as package idna does, which takes longer
	}
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		return ascii
	}
	return domain
}
