package smtpd

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// RFC 5321, Section 4.1.3: an IPv6 address is marked as one.
func TestReceivedHasTheAddressLiteral(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1":            "[192.0.2.1]",
		"::ffff:192.0.2.1":     "[192.0.2.1]",
		"2001:db8::1":          "[IPv6:2001:db8::1]",
		"fe80::1%eth0":         "[IPv6:fe80::1]",
		"2001:db8:0:0:0:0:0:2": "[IPv6:2001:db8::2]",
	} {
		s := &session{setup: new(setup), addr: netip.AddrPortFrom(netip.MustParseAddr(from), 25)}
		if got := string(s.receivedField(time.Now())); !strings.Contains(got, " ("+want+")\r\n") {
			t.Errorf("from %s: %q, want %s", from, got, want)
		}
	}
}
