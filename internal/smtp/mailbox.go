package smtp

import (
	"strings"

	"golang.org/x/net/idna"

	"postern/internal/safetext"
)

// RFC 5321, Section 4.5.3.1, has 64, 255 and 256. Senders that rewrite
// addresses (SRS, BATV, VERP) write longer local parts.
const (
	maxLocalPart = 256
	maxDomain    = 255
)

// cutPath cuts "FROM:<path> params" into path and params. The path may have
// spaces before it, as many clients write, but not lack its brackets.
func cutPath(arg, keyword string) (path, params string, err error) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", "", refuse(501, "5.5.4", "expected "+keyword+"<address>")
	}
	arg = strings.TrimLeft(arg[len(keyword):], " \t")
	if !strings.HasPrefix(arg, "<") {
		return "", "", refuse(501, "5.5.4", "address must stand in <>")
	}
	end := pathEnd(arg)
	if end < 0 {
		return "", "", refuse(501, "5.5.4", "address lacks its closing >")
	}
	path, params = arg[1:end], arg[end+1:]
	if params != "" && params[0] != ' ' && params[0] != '\t' {
		return "", "", refuse(501, "5.5.4", "expected a space behind the address")
	}
	return path, params, nil
}

// pathEnd finds the > that closes the path, not one within a quoted local part.
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

// parseMailbox checks a path and gives its mailbox, without source route.
func parseMailbox(path string) (string, error) {
	if strings.HasPrefix(path, "@") {
		_, mailbox, ok := strings.Cut(path, ":")
		if !ok {
			return "", badAddress()
		}
		path = mailbox
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

// SplitMailbox cuts a mailbox at the @ behind its local part, the last one.
func SplitMailbox(mailbox string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(mailbox, '@')
	if at < 0 {
		return "", "", false
	}
	return mailbox[:at], mailbox[at+1:], true
}

// validLocal takes a quoted string, or a dot-string whose dots may stand
// anywhere: some providers' subscribers have addresses such as a..b@.
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

// validDomain takes a domain name or an address literal. Names may hold an
// underscore, against RFC 5321, since hosts so named send mail.
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

// FoldMailbox makes addresses comparable. The local part counts without case,
// as nearly every mail server takes it.
func FoldMailbox(mailbox string) string {
	local, domain, _ := SplitMailbox(mailbox)
	return strings.ToLower(local) + "@" + FoldDomain(domain)
}

// FoldDomain makes domains comparable: lower case, A-labels, no final dot.
func FoldDomain(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		return ascii
	}
	return domain
}
