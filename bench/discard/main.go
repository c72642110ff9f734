// Command discard is a go-smtp server that accepts every message over STARTTLS and discards it:
// a receiver that neither stores nor forwards nor checks.
//
//	discard ADDRESS CERTIFICATE KEY
package main

import (
	"crypto/tls"
	"io"
	"log"
	"os"

	"github.com/emersion/go-smtp"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("discard: ")
	if len(os.Args) != 4 {
		log.Fatal("usage: discard ADDRESS CERTIFICATE KEY")
	}
	cert, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(newSession))
	server.Addr = os.Args[1]
	server.Domain = "discard.test"
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	log.Fatal(server.ListenAndServe())
}

// session accepts everything.
type session struct{}

func newSession(*smtp.Conn) (smtp.Session, error) { return session{}, nil }

func (session) Mail(string, *smtp.MailOptions) error { return nil }

func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (session) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (session) Reset() {}

func (session) Logout() error { return nil }
