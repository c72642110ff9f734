package persona

import (
	"crypto/tls"
	"errors"
)

// The reports disagree about what such senders do: see tls10Only.
var fallsBackToPlaintext = Persona{
	ID:        "falls-back-to-plaintext",
	Case:      "tls10-only",
	Does:      "Offers TLS 1.0 only, and comes back in plaintext when that fails",
	configure: upTo(tls.VersionTLS10),
	fallsBack: true,
}

var plaintextAfterSTARTTLS = Persona{
	ID:      "plaintext-after-starttls",
	Case:    "plaintext-after-starttls",
	Does:    "Sends a harmless command in clear behind STARTTLS, in the same write, and sees whether it is executed",
	injects: true,
}

// noteAnswerInClear notes whether the server answered the pipelined command where TLS
// was to begin.
func (c *conversation) noteAnswerInClear(err error) {
	var header tls.RecordHeaderError
	if c.injects && errors.As(err, &header) {
		c.result.Injected = !c.text.refuses([]string{string(header.RecordHeader[:])})
	}
}
