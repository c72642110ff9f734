package smtpd

import (
	"crypto/tls"
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

// Other servers and people read the field: it is the same byte for byte for the same message.
func TestReceivedField(t *testing.T) {
	sent := time.Date(2026, 11, 28, 9, 8, 7, 0, time.FixedZone("", 3600))
	tls13 := &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	tls12 := &tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, DidResume: true}
	for _, tt := range []struct {
		change func(*session)
		want   string
	}{
		{func(s *session) { s.greeting = "sender.example" },
			"Received: from sender.example ([192.0.2.1])\r\n\tby mx.example.org (Postern) with SMTP id 0123456789.2"},
		{func(s *session) { s.greeting, s.extended = "azAZ09.-_:[]", true },
			"Received: from azAZ09.-_:[] ([192.0.2.1])\r\n\tby mx.example.org (Postern) with ESMTP id 0123456789.2"},
		{func(s *session) { s.greeting, s.tls = "a(b)c\u00fc/;@{`", tls13 },
			"Received: from a?b?c?????? ([192.0.2.1])\r\n\tby mx.example.org (Postern) with SMTP id 0123456789.2\r\n\t(TLS1.3 TLS_AES_128_GCM_SHA256)"},
		{func(s *session) { s.greeting, s.extended, s.tls = "a", true, tls12 },
			"Received: from a ([192.0.2.1])\r\n\tby mx.example.org (Postern) with ESMTPS id 0123456789.2\r\n\t(TLS1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 resumed)"},
		{func(s *session) {
			s.greeting, s.extended, s.tls, s.mail.UTF8, s.recipients = "a", true, tls13, true, []string{"b@example.org"}
		}, "Received: from a ([192.0.2.1])\r\n\tby mx.example.org (Postern) with UTF8SMTPS id 0123456789.2\r\n\t(TLS1.3 TLS_AES_128_GCM_SHA256)\r\n\tfor <b@example.org>"},
		{func(s *session) {
			s.greeting, s.mail.UTF8, s.recipients = "a", true, []string{"b@example.org", "c@example.org"}
		}, // RFC 5321, Section 7.2: no others
			"Received: from a ([192.0.2.1])\r\n\tby mx.example.org (Postern) with UTF8SMTP id 0123456789.2"},
	} {
		s := &session{setup: &setup{Settings: Settings{Hostname: "mx.example.org"}}, id: "0123456789", texts: 2}
		s.addr = netip.MustParseAddrPort("192.0.2.1:4025")
		tt.change(s)
		if got, want := string(s.receivedField(sent)), tt.want+";\r\n\tSat, 28 Nov 2026 09:08:07 +0100\r\n"; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
