package mtasts

import (
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/net/idna"
)

// Matches tells whether the policy names host, an MX host of the domain. See [Matches].
// The mode is the caller's to heed: a policy with none has nothing to match.
func (p *Policy) Matches(host string) bool {
	for _, pattern := range p.MX {
		if Matches(pattern, host) {
			return true
		}
	}
	return false
}

// Matches tells whether an mx pattern names host, RFC 8461, Section 4.1: "*" stands for the
// whole of the leftmost label and never for more or less than one. Case and a dot at the
// end make no difference, nor whether a label is written in Unicode or as A-label.
//
// A pattern or host that is no domain name matches nothing.
func Matches(pattern, host string) bool {
	host, err := canonical(host)
	if err != nil {
		return false
	}
	parent, wildcard := strings.CutPrefix(pattern, "*.")
	if parent, err = canonical(parent); err != nil {
		return false
	}
	if !wildcard {
		return host == parent
	}
	_, rest, _ := strings.Cut(host, ".")
	return rest == parent
}

// canonical gives the one form of a name that may be compared, and checks it. Names in ASCII go
// past idna, which refuses some that hosts do have, such as r3---mx.example.
func canonical(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if strings.ContainsFunc(name, func(r rune) bool { return r > '~' }) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%.80q is not a domain name: %w", name, err)
		}
		name = ascii
	}
	return strings.ToLower(name), checkName(name)
}

// label is Sub-domain in RFC 5321, Section 4.1.2.
var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

func checkName(name string) error {
	if len(name) > 253 {
		return fmt.Errorf("%.40q… is not a domain name: longer than 253", name)
	}
	for part := range strings.SplitSeq(name, ".") {
		if !label.MatchString(part) {
			return fmt.Errorf("%.80q is not a domain name: %.80q is not a label of letters, digits and hyphens", name, part)
		}
	}
	return nil
}

// checkPattern takes a name with A-labels, and "*." before it or not.
func checkPattern(pattern string) error {
	if err := checkName(strings.TrimPrefix(pattern, "*.")); err != nil {
		return fmt.Errorf(`%w: write a host, or "*." and a domain`, err)
	}
	return nil
}
