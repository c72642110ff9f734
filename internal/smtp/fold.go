package smtp

import (
	"strings"

	"golang.org/x/net/idna"
)

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
