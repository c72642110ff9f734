package persona

import "errors"

// ErrNoTLS is in the chain of a visit's error where the server does not offer TLS.
var ErrNoTLS = errors.New("the server does not offer TLS")

var errBehind = errors.New("the server said something in clear behind its reply to STARTTLS")

// greet reads the greeting and says hello in clear.
func (c *conversation) greet() (err error) {
	c.visit.Stage = AtGreeting
	if c.visit.Greeting, err = c.line.reply(""); err != nil {
		return err
	}
	c.visit.Stage = AtEHLO
	c.visit.EHLO, err = c.line.ask(c.line.hello)
	return err
}

// reachTLS comes to where the TLS handshake begins.
func (c *conversation) reachTLS() error {
	if err := c.greet(); err != nil {
		return err
	}
	if !c.line.offersTLS(c.visit.EHLO) {
		return ErrNoTLS
	}
	c.visit.Stage = AtSTARTTLS
	command := c.line.start
	if c.pipelines {
		command += "\r\n" + c.line.harmless
	}
	if _, err := c.line.ask(command); err != nil {
		return err
	}
	if c.line.in.Buffered() > 0 { // it would be taken for TLS, or worse (CVE-2011-0411)
		c.visit.Executed = c.pipelines
		return errBehind
	}
	return nil
}

// talkSecurely says hello over TLS, and delivers what there is.
func (c *conversation) talkSecurely() (err error) {
	if c.target.Protocol.Implicit() {
		if c.visit.Greeting, err = c.line.reply(""); err != nil {
			return err
		}
	}
	c.visit.SecureEHLO, err = c.helloSecurely()
	if len(c.visit.SecureEHLO) > 0 {
		c.conn.Complete()
	}
	if err != nil {
		return err
	}
	if c.left != nil { // the reply was there already, behind the ticket
		return c.left
	}
	c.visit.In = true
	return c.deliver()
}

// helloSecurely says hello, for some after a pause in which a ticket may come. Who has
// left over it by then says it to a closed connection.
func (c *conversation) helloSecurely() ([]string, error) {
	if !c.hesitates {
		return c.line.ask(c.line.hello)
	}
	heard := c.line.listen(c.Pause)
	err := c.line.say(c.line.hello)
	<-heard
	if err != nil {
		return nil, err
	}
	return c.line.reply(verb(c.line.hello))
}

func (c *conversation) deliver() error {
	if c.target.Deliver == nil || !c.target.Protocol.Mail() {
		return nil
	}
	if c.target.Deliver.FalseEnd != "" {
		answers, err := c.target.Deliver.smuggle(c.line, c.target.EHLO)
		c.visit.Answers = answers
		return err
	}
	err := c.target.Deliver.send(c.line, c.target.EHLO)
	c.visit.Delivered = err == nil
	return err
}
