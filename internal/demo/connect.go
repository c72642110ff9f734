package demo

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/smtp"
	"os/exec"

	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/testpeer"
)

// deliver lets a sender deliver a message, as the persona that it is. It returns the result, with
// a session to resume.
func (w *world) deliver(ctx context.Context, p *postern, s *sender, as *persona.Persona, to string, earlier *persona.Result) *persona.Result {
	t, err := w.target(p, s, as)
	if err != nil {
		return nil
	}
	t.Deliver = &persona.TestMessage{From: "news@" + s.host, To: to}
	if earlier != nil && earlier.Resumable() {
		return as.Resume(ctx, t, earlier)
	}
	return as.Run(ctx, t)
}

// target is the Postern as a sender connects to it.
func (w *world) target(p *postern, s *sender, as *persona.Persona) (persona.Target, error) {
	addr, err := p.door(s.addr)
	t := persona.Target{Addr: addr, ServerName: hostname, EHLO: s.host, RootCAs: w.valid.Pool}
	if as.Case == "early-ticket" {
		t.Dial = probe.DialSlowly
	}
	return t, err
}

// run lets a sender that is a real program deliver a message. Without the program it does
// nothing.
func (w *world) run(ctx context.Context, p *postern, s *sender) error {
	if _, err := exec.LookPath(s.program); err != nil {
		return nil
	}
	addr, err := p.door(s.addr)
	if err != nil {
		return err
	}
	message := testpeer.Message{From: s.program + "@" + s.host, To: recipient}
	return testpeer.Run(ctx, io.Discard, nil, func(scope *testpeer.Scope) error {
		switch s.program {
		case "openssl":
			testpeer.SendOpenSSL(scope, addr, testpeer.OpenSSLOptions{Message: message})
		case "gnutls-cli":
			testpeer.SendGnuTLS(scope, addr, testpeer.GnuTLSOptions{Message: message})
		case "swaks":
			testpeer.SendSwaks(scope, addr, testpeer.SwaksOptions{Message: message})
		}
		return nil
	})
}

// mail delivers a message with a text of its own over TLS.
func (w *world) mail(p *postern, s *sender, from, to, text string) error {
	addr, err := p.door(s.addr)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	c, err := smtp.NewClient(conn, hostname)
	if err != nil {
		return err
	}
	if err := c.Hello(s.host); err != nil {
		return err
	}
	if err := c.StartTLS(&tls.Config{ServerName: hostname, RootCAs: w.valid.Pool}); err != nil {
		return err
	}
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	body, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(body, text); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	return c.Quit()
}
