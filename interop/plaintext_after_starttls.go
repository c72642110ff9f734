package interop

import (
	"bytes"
	"fmt"

	"postern/handshake"
)

var plaintextAfterSTARTTLS = Case{
	ID:      "plaintext-after-starttls",
	Title:   "Continues in plaintext after STARTTLS",
	Clients: "scripts and clients that pipeline commands after STARTTLS; attackers who inject commands",
	Since:   "2011-03",
	Status:  Confirmed,
	Sources: []Source{
		{"https://www.kb.cert.org/vuls/id/555316", "2011-03", "CVE-2011-0411: servers executed plaintext commands sent after STARTTLS."},
		{"https://nostarttls.secvuln.info", "2021-08", "A study finds more servers and clients with that flaw."},
	},
	Explanation: "A plaintext SMTP command arrived where TLS should have started. " +
		"It comes from a client that does not wait for the reply to STARTTLS, or from an attacker on the path who wants commands executed as if they had been encrypted. " +
		"A server must discard such commands and close the connection.",
	Remedy: Remedy{
		Postern: "Nothing to do: Postern executes none of it and closes the connection. Tell the sender's administrator if it is a mail sender.",
		Sender:  "Let the sending program wait for the reply to STARTTLS, and begin TLS before its next command (RFC 3207, Section 4). If it does, look for a device on the path that inserts commands.",
		OtherSoftware: []Advice{
			{"Postfix", "2.8.0, 2.7.3 and later discard what follows STARTTLS."},
			{"the sender", "Wait for the 220 reply, then start TLS (RFC 3207, Section 4)."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		if !beginsWithCommand(t.NotTLS) {
			return 0, nil
		}
		text := fmt.Sprintf("received %q instead of TLS", t.NotTLS)
		return AlmostCertain, []Observation{{text, index(t, handshake.Client, handshake.TypeNotTLS)}}
	},
}

// beginsWithCommand reports whether b begins with an SMTP command other than QUIT, which
// only leaves.
func beginsWithCommand(b []byte) bool {
	for _, verb := range []string{"EHLO", "HELO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "AUTH", "VRFY", "STARTTLS"} {
		if len(b) >= len(verb) && bytes.EqualFold(b[:len(verb)], []byte(verb)) {
			return true
		}
	}
	return false
}
