package mtasts

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"golang.org/x/net/idna"
)

// Matches reports whether a pattern in p.MX matches host, an MX host of the domain (RFC
// 8461, Section 4.1). In a pattern "*" matches exactly one label, the leftmost. Case, a
// final dot, and whether a label is in Unicode or an A-label make no difference. A pattern
// or host that is not a domain name matches nothing.
//
// Matches does not look at p.Mode.
func (p *Policy) Matches(host string) bool {
	host, err := canonicalName(host)
	if err != nil {
		return false
	}
	for _, pattern := range p.MX {
		if matchPattern(pattern, host) {
			return true
		}
	}
	return false
}

// matchPattern reports whether a pattern matches host, a canonical name.
func matchPattern(pattern, host string) bool {
	name, wildcard := strings.CutPrefix(pattern, "*.")
	name, err := canonicalName(name)
	if err != nil {
		return false
	}
	if !wildcard {
		return host == name
	}
	_, parent, _ := strings.Cut(host, ".")
	return parent == name
}

// canonicalName returns a name in the form in which names are compared: lower case,
// A-labels, no final dot. A name in ASCII does not pass through idna, which refuses some
// names in use, such as r3---mx.example.
func canonicalName(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if strings.ContainsFunc(name, func(r rune) bool { return r > '~' }) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%s is not a domain name: %w", quoted(name), err)
		}
		name = ascii
	}
	return strings.ToLower(name), checkName(name)
}

// label is Sub-domain in RFC 5321, Section 4.1.2.
var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

func checkName(name string) error {
	if len(name) > 253 {
		return fmt.Errorf("%s is not a domain name: longer than 253", quoted(name))
	}
	for part := range strings.SplitSeq(name, ".") {
		if !label.MatchString(part) {
			return fmt.Errorf("%s is not a domain name: %s is not a label of letters, digits and hyphens", quoted(name), quoted(part))
		}
	}
	return nil
}

// isAddress reports whether an MX pattern is an IP address, in brackets or not. An IPv4
// address alone has the form of a name.
func isAddress(pattern string) bool {
	text := strings.TrimPrefix(strings.Trim(pattern, "[]"), "IPv6:") // RFC 5321, Section 4.1.3
	_, err := netip.ParseAddr(text)
	return err == nil
}

func addressWarning(pattern string) string {
	return fmt.Sprintf("mx %s is an address, and senders compare mx with names of MX hosts: write the host's name", quoted(pattern))
}

// checkPattern checks an MX pattern: a name in A-labels, with or without "*." before it.
func checkPattern(pattern string) error {
	switch err := checkName(pattern); {
	case err != nil && isAddress(pattern):
		return errors.New(addressWarning(pattern))
	case err != nil && strings.HasSuffix(pattern, "."):
		return fmt.Errorf("%s ends in a dot: remove it", quoted(pattern))
	}
	if err := checkName(strings.TrimPrefix(pattern, "*.")); err != nil {
		return fmt.Errorf(`%w: write a host, or "*." and a domain`, err)
	}
	return nil
}
