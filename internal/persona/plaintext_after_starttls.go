package persona

import (
	"crypto/tls"
	"errors"
)

var plaintextAfterSTARTTLS = Persona{
	ID:        "plaintext-after-starttls",
	Case:      "plaintext-after-starttls",
	Does:      "Sends a harmless command in clear behind STARTTLS, in the same write, and sees whether it is executed",
	pipelines: true,
}

// noteAnswerInClear notes whether the server answered the pipelined command where TLS
// was to begin.
func (c *conversation) noteAnswerInClear(err error) {
	var header tls.RecordHeaderError
	if c.pipelines && errors.As(err, &header) {
		c.visit.Executed = !c.line.refuses([]string{string(header.RecordHeader[:])})
	}
}
