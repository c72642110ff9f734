package interop

import (
	"bytes"
	"fmt"

	"postern/handshake"
)

var plaintextAfterSTARTTLS = Case{
	ID:      "plaintext-after-starttls",
	Title:   "Goes on in clear after STARTTLS",
	Clients: "scripts and clients that pipeline behind STARTTLS; attackers who inject commands",
	Since:   "2011-03",
	Status:  Confirmed,
	Sources: []Source{
		{"https://www.kb.cert.org/vuls/id/555316", "2011-03", "CVE-2011-0411: servers executed commands that came in clear behind STARTTLS."},
		{"https://nostarttls.secvuln.info", "2021-08", "A study finds more servers and clients with that fault."},
	},
	Explanation: "An SMTP command in clear came where TLS was to begin. " +
		"A client that did not wait for the reply to STARTTLS does that, and so does somebody in the middle who wants commands executed as if they were encrypted. " +
		"They must be dropped, never executed, and the connection with them.",
	Remedy: Remedy{
		Postern: "Nothing: Postern executes none of it and closes. Tell the sender if it is one.",
		OtherSoftware: []Advice{
			{"Postfix", "2.8.0, 2.7.3 and later discard what is behind STARTTLS."},
			{"the sender", "Wait for the 220 reply, then begin TLS (RFC 3207, Section 4)."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		if !beginsWithCommand(t.NotTLS) {
			return 0, nil
		}
		text := fmt.Sprintf("in place of TLS came %q", t.NotTLS)
		return certain, []Observation{{text, index(t, handshake.Client, handshake.TypeNotTLS)}}
	},
}

// beginsWithCommand reports whether b begins like an SMTP command that wants
// something; a QUIT in clear only leaves.
func beginsWithCommand(b []byte) bool {
	for _, verb := range []string{"EHLO", "HELO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "AUTH", "VRFY", "STARTTLS"} {
		if len(b) >= len(verb) && bytes.EqualFold(b[:len(verb)], []byte(verb)) {
			return true
		}
	}
	return false
}
