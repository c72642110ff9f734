package config

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

// Bounds of RFC 1035, Section 2.3.4.
const (
	maxLabel  = 63
	maxDomain = 253 // as text
)

var errDomain = errors.New("not a domain name")

// domainName gives a name in ASCII. Underscores may stand in it: there are
// hosts so named.
func domainName(name string) (string, error) {
	ascii := strings.TrimSuffix(name, ".")
	if strings.ContainsFunc(ascii, func(r rune) bool { return r > 127 }) {
		var err error
		if ascii, err = idna.Lookup.ToASCII(ascii); err != nil {
			return "", fmt.Errorf("%w: %w", errDomain, err)
		}
	}
	if len(ascii) > maxDomain {
		return "", errDomain
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if !validLabel(label) {
			return "", errDomain
		}
	}
	return strings.ToLower(ascii), nil
}

func validLabel(label string) bool {
	strange := strings.ContainsFunc(label, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
	return label != "" && len(label) <= maxLabel && !strange && label[0] != '-' && label[len(label)-1] != '-'
}
