// Package strictclient plays a TLS client that refuses an early session ticket.
//
// Some senders close the connection without a word when the server's flight goes
// on after its Finished, that is, when a TLS 1.3 NewSessionTicket arrives before
// they have sent their own Finished (https://go.dev/issue/70232). A server may
// send it then (the note in RFC 8446, Section 4.6.1); not every client takes it.
// This client does what those reports say, with crypto/tls for everything else:
//
//	conn = strictclient.New(conn)
//	client := tls.Client(conn, &tls.Config{
//		ServerName:         "mx.example.org",
//		ClientSessionCache: tls.NewLRUClientSessionCache(0),
//	})
//	err := client.Handshake() // errors.Is(err, strictclient.ErrEarlyTicket)
//
// The session cache matters: without one crypto/tls offers no
// psk_key_exchange_modes, and then no server sends a ticket.
//
// Bytes before the ClientHello pass untouched, so the same conn serves a client
// that speaks SMTP first: see [StartTLS], or give it to [net/smtp.NewClient].
package strictclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
)

// ErrEarlyTicket is what the handshake returns when the client closed because
// bytes of the server followed its Finished before the client had sent its own.
var ErrEarlyTicket = errors.New("strictclient: the server sent a record after its Finished and before the client's")

// StartTLS greets the SMTP server at the other end of conn as hello, and starts
// TLS with STARTTLS (RFC 3207) as a strict client. It has said EHLO a second time
// when it returns, so the caller goes on with MAIL.
//
// The error wraps [ErrEarlyTicket] when the strict client refused; conn is closed
// on every error. Deadlines are the caller's, set on conn.
func StartTLS(conn net.Conn, hello string, config *tls.Config) (*smtp.Client, error) {
	client, err := smtp.NewClient(New(conn), config.ServerName)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("strictclient: reading the greeting: %w", err)
	}
	if err := startTLS(client, hello, config); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

func startTLS(client *smtp.Client, hello string, config *tls.Config) error {
	if err := client.Hello(hello); err != nil {
		return fmt.Errorf("strictclient: saying EHLO: %w", err)
	}
	if err := client.StartTLS(config); err != nil {
		return fmt.Errorf("strictclient: starting TLS: %w", err)
	}
	return nil
}
