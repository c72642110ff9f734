package persona

import (
	"crypto/tls"
	"errors"
)

var plaintextAfterSTARTTLS = Persona{
	ID:      "plaintext-after-starttls",
	Case:    "plaintext-after-starttls",
	Does:    "Sends a harmless plaintext command behind STARTTLS, in the same write, and checks whether the server executes it",
	injects: true,
}

// ErrNoTLS is wrapped by [Result.Err] if the server does not offer TLS.
var ErrNoTLS = errors.New("the server does not offer TLS")

var errAfterSTARTTLS = errors.New("the server sent more in plaintext after its reply to STARTTLS")

// startTLS reads the greeting and sends EHLO and STARTTLS.
func (c *conversation) startTLS() error {
	if err := c.greet(); err != nil {
		return err
	}
	if !c.text.offersTLS(c.result.EHLO) {
		return ErrNoTLS
	}
	c.result.Stage = AtSTARTTLS
	command := c.text.start
	if c.injects {
		command += "\r\n" + c.text.harmless
	}
	if _, err := c.text.command(command); err != nil {
		return err
	}
	if c.text.in.Buffered() > 0 { // a client could take it for a reply over TLS (CVE-2011-0411)
		c.result.Injected = c.injects
		return errAfterSTARTTLS
	}
	return nil
}

// notePlaintextReply notes whether the handshake failed because the server answered an
// injected command in place of starting TLS.
func (c *conversation) notePlaintextReply(err error) {
	var header tls.RecordHeaderError
	if c.injects && errors.As(err, &header) {
		c.result.Injected = !c.text.refuses([]string{string(header.RecordHeader[:])})
	}
}
