package examples

import (
	"crypto/tls"
	"io"
	"net"

	"github.com/emersion/go-smtp"

	"postern/sessionticket"
)

// GoSMTP offers STARTTLS and takes no mail.
func GoSMTP(listener net.Listener, config *tls.Config) error {
	gate := new(sessionticket.Gate)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return noMail{}, nil }))
	server.TLSConfig = gate.Config(config)
	return server.Serve(gate.Listener(listener))
}

type noMail struct{}

var errNoMail = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "no mail here"}

func (noMail) Mail(string, *smtp.MailOptions) error { return errNoMail }
func (noMail) Rcpt(string, *smtp.RcptOptions) error { return errNoMail }
func (noMail) Data(io.Reader) error                 { return errNoMail }
func (noMail) Reset()                               {}
func (noMail) Logout() error                        { return nil }
