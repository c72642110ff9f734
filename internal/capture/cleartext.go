package capture

// A clearText follows a connection after STARTTLS in case both sides go on in plaintext: behind
// a device that decrypts, or one that answers STARTTLS for a server without TLS.
type clearText struct {
	dialogue *dialogue // nil: this is TLS
	found    Conversation
}

// start notes that TLS should begin, after STARTTLS or without it.
func (c *clearText) start(startTLS bool) {
	if startTLS {
		c.dialogue = &dialogue{c: &c.found, greeted: true}
	}
}

// feed processes data.
func (c *clearText) feed(p payload) {
	if c.dialogue == nil {
		return
	}
	c.dialogue.feed(p)
	if c.dialogue.tls != nil {
		c.dialogue = nil
	}
}

// apply changes the result if the client sent commands and the server accepted one. A server
// that accepts none has most likely refused them since they should have been encrypted.
func (c *clearText) apply(result *Conversation) {
	if c.dialogue == nil || !c.dialogue.positive || c.found.EHLO == "" && !c.found.Mail {
		return
	}
	result.InClear, result.Transcript = true, nil
	result.Mail, result.MailAccepted = c.found.Mail, c.found.MailAccepted
}
