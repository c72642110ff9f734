package mtasts_test

import (
	"strings"
	"testing"

	. "postern/mtasts"
)

func TestPatternMatchesHost(t *testing.T) {
	long := strings.Repeat("a", 64)
	longest := strings.Repeat("a.", 126) + "a"
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		// RFC 8461, Section 4.1
		{"*.example.com", "mx.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "foo.bar.example.com", false},
		{"mail.example.com", "mail.example.com", true},
		{"mail.example.com", "mail.example.net", false},

		{"mail.example.com", "MAIL.Example.COM", true},
		{"*.EXAMPLE.com", "mx.example.com", true},
		{"mail.example.com", "mail.example.com.", true},
		{"mail.example.com", "mail.example.com..", false},
		{"*.com", "example.com", true},
		{"*.com", "com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "*.example.com", false},
		{"*.*.com", "mx.example.com", false},
		{"mx*.example.com", "mx1.example.com", false},
		{"*", "mx", false},
		{"*.", "mx.", false},
		{"", "", false},
		{"example.com", "mail.example.com", false},
		{"mail.example.com", "xmail.example.com", false},
		{"*.xn--bcher-kva.example", "mx.xn--bcher-kva.example", true},
		{"*.xn--bcher-kva.example", "mx.BÜCHER.example", true},
		{"*.xn--bcher-kva.example", "mx.bücher.example.", true},
		{"xn--mx-xka.example", "mxü.example", false},
		{"r3---mx.example", "r3---mx.example", true}, // not an A-label, but in use
		{"mx_1.example", "mx_1.example", false},      // no host name
		{"192.0.2.1", "192.0.2.1", true},             // reads as a name; no MX has it
		{long + ".example", long + ".example", false},
		{longest, longest, true},
		{longest + "a", longest + "a", false},
		{"mx.example", "mx.\x00example", false},
	} {
		if got := matches(c.pattern, c.host); got != c.want {
			t.Errorf("%q matches %q: %t", c.pattern, c.host, got)
		}
	}
}

func matches(pattern, host string) bool {
	return (&Policy{MX: []string{pattern}}).Matches(host)
}

func TestPolicyMatchesAnyOfItsPatterns(t *testing.T) {
	p := &Policy{Mode: Enforce, MX: []string{"mail.example.com", "*.example.net"}}
	for host, want := range map[string]bool{
		"mail.example.com": true, "mx.example.net.": true, "mx.example.com": false, "example.net": false,
	} {
		if got := p.Matches(host); got != want {
			t.Errorf("%s: %t", host, got)
		}
	}
}
