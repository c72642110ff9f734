// Package strictclient is a TLS client that refuses an early session ticket, for tests.
//
// Some senders close the connection without an alert when the server's flight goes on
// after its Finished, that is, when a TLS 1.3 NewSessionTicket arrives before they have
// sent their own Finished (https://go.dev/issue/70232). A server may send it then (the
// note in RFC 8446, Section 4.6.1), but not every client accepts it. This client does
// the same, and uses crypto/tls for everything else:
//
//	conn = strictclient.New(conn)
//	client := tls.Client(conn, &tls.Config{
//		ServerName:         "mx.example.org",
//		ClientSessionCache: tls.NewLRUClientSessionCache(0),
//	})
//	err := client.Handshake() // errors.Is(err, strictclient.ErrEarlyTicket)
//
// The session cache is needed: without one crypto/tls offers no psk_key_exchange_modes,
// and no server sends a ticket then.
//
// Bytes before the ClientHello pass unchanged, so the conn also works for STARTTLS: see
// [StartTLS], or pass it to [net/smtp.NewClient].
package strictclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
)

// ErrEarlyTicket is returned by the handshake when the client closed the connection
// because the server sent more after its Finished, before the client's Finished.
var ErrEarlyTicket = errors.New("strictclient: server sent a record after its Finished and before the client's")

// StartTLS starts TLS as a strict client on an SMTP connection: it sends EHLO with the
// name hello, STARTTLS (RFC 3207), and after the handshake EHLO again. The caller can go
// on with MAIL.
//
// The error wraps [ErrEarlyTicket] if the client refused the ticket. After an error conn
// is closed. The caller sets deadlines on conn.
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
		return fmt.Errorf("strictclient: sending EHLO: %w", err)
	}
	if err := client.StartTLS(config); err != nil {
		return fmt.Errorf("strictclient: starting TLS: %w", err)
	}
	return nil
}
