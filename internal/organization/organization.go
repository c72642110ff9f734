// Package organization says whose a sender is: the registered domain of its host name, and
// for the large ones a short label.
//
// The name is best that of forward-confirmed reverse DNS, which the owner of the address and
// the owner of the name both had to publish. Else it is that of EHLO, which any client can
// choose. An [Organization] says which.
package organization

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// An Organization is whose a sender is. The zero value is unknown.
type Organization struct {
	Domain string // registered domain, in lower case; empty if unknown
	By     Source // of Domain
}

// A Source is where the name of an [Organization] is from.
type Source string

// The sources, the most reliable first.
const (
	ReverseDNS Source = "dns"  // forward-confirmed reverse DNS
	EHLO       Source = "ehlo" // the sender's own word
)

// String returns the source in words, as in "outlook.com by reverse DNS".
func (s Source) String() string {
	switch s {
	case ReverseDNS:
		return "reverse DNS"
	case EHLO:
		return "EHLO"
	}
	return "unknown"
}

// Of returns whose a sender with these host names is. Confirmed is its name by
// forward-confirmed reverse DNS; either may be empty.
func Of(confirmed, ehlo string) Organization {
	if domain := registered(confirmed); domain != "" {
		return Organization{domain, ReverseDNS}
	}
	if domain := registered(ehlo); domain != "" {
		return Organization{domain, EHLO}
	}
	return Organization{}
}

// maxName is the most that a host name in DNS can have, in bytes (RFC 1035, Section 2.3.4).
const maxName = 253

// registered returns the domain that somebody has registered and a host is in, or nothing:
// for a name that is no host name in the public DNS, such as "localhost.localdomain", and
// for a suffix under which everybody registers.
func registered(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if len(host) > maxName || !isHostName(host) {
		return ""
	}
	if suffix, listed := publicsuffix.PublicSuffix(host); !listed && !strings.Contains(suffix, ".") && suffix != "example" {
		return "" // no one can register under it; RFC 2606 has "example" for documentation
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return ""
	}
	return domain
}

// isHostName reports whether a name consists of labels of letters, digits, hyphens and
// underscores.
func isHostName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
