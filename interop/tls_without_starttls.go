package interop

import (
	"bytes"
	"fmt"

	"postern/handshake"
)

var tlsWithoutSTARTTLS = Case{
	ID:      "tls-without-starttls",
	Title:   "Starts TLS at once where the server expects STARTTLS",
	Clients: "programs set to \"SSL\", \"TLS\" or \"secure\" for port 25 or 587, where the setting means implicit TLS",
	Since:   "2018-01",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/kenlasko/monize/issues/364", "2026-04-02", "\"wrong version number\" with port 587: the setting TLS meant implicit TLS, and the server wanted STARTTLS."},
		{"https://github.com/docusealco/docuseal/issues/425", "2025-01-21", "The same error in a Ruby program, where openssl s_client -starttls smtp succeeds with the same server."},
		{"https://www.rfc-editor.org/rfc/rfc8314#section-7.3", "2018-01", "Port 465 is for implicit TLS; on port 25 and 587 TLS begins after STARTTLS."},
	},
	Explanation: "The client sent its ClientHello as soon as it was connected, and the server answered with SMTP in plaintext: it expects EHLO and STARTTLS first. " +
		"OpenSSL calls the plaintext a \"wrong version number\", which says nothing about TLS versions. " +
		"The client's setting and the port do not fit together; on port 465, which is for implicit TLS, it is the server's setting.",
	Remedy: Remedy{
		Postern: "Nothing to do for mail from other servers, which use STARTTLS on port 25. For your own programs, open a port with implicit TLS: listen-tls.",
		Sender:  "Set the sending program to STARTTLS for this port, not to implicit TLS, which some programs call SSL.",
		OtherSoftware: []Advice{
			{"the sender", "Set its TLS setting to STARTTLS, or use the port for implicit TLS, 465."},
			{"nodemailer", "Set secure: false for ports 25 and 587, and requireTLS: true."},
			{"Postfix", "On port 465, set -o smtpd_tls_wrappermode=yes for the service submissions in master.cf."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		hello := index(t, handshake.Client, handshake.TypeClientHello)
		plaintext := index(t, handshake.Server, handshake.TypeNotTLS)
		if hello < 0 || plaintext < 0 || has(t, handshake.Server, handshake.TypeServerHello) ||
			has(t, handshake.Client, handshake.TypeNotTLS) {
			return 0, nil
		}
		observations := []Observation{
			{"the client began with a ClientHello", hello},
			{fmt.Sprintf("the server answered %q, in plaintext", t.NotTLS), plaintext},
		}
		switch {
		case beginsWithAny(t.NotTLS, "220 ", "220-", "* OK", "+OK"):
			return AlmostCertain, observations // a greeting: no server sends it after STARTTLS
		case beginsWithAny(t.NotTLS, "500", "501", "502", "503", "* BAD", "-ERR"):
			return Likely, observations
		}
		return 0, nil
	},
}

func beginsWithAny(b []byte, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if bytes.HasPrefix(b, []byte(prefix)) {
			return true
		}
	}
	return false
}
