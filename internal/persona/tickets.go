package persona

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	utls "github.com/refraction-networking/utls"

	"postern/sessionticket/strictclient"
)

var earlyTicket = Persona{
	ID:   "early-ticket",
	Case: "early-ticket",
	Does: "Closes silently if a session ticket arrives before its own Finished",
	wrap: func(c net.Conn) net.Conn { return strictclient.New(c) },
}

// Schannel returns the same status for every session ticket, so a program that takes it for
// an error may fail by where it reads the ticket, not by when the server sends it. Such a
// client tolerates an early ticket in a segment of its own.
var ticketInFinishedRead = Persona{
	ID:   "ticket-in-finished-read",
	Case: "early-ticket",
	Does: "Closes silently if a session ticket arrives in one segment with the server's Finished",
	wrap: func(c net.Conn) net.Conn { return strictclient.New(newSegmentConn(c, oneMore)) },
}

var ticketAfterFinished = Persona{
	ID:         "ticket-after-finished",
	Case:       "ticket-after-finished",
	Does:       "Waits 0.1 s after the handshake before it sends EHLO, and closes silently on any session ticket",
	Delay:      ticketDelay,
	delaysEHLO: true,
	onTicket:   anyTicket,
}

// ticketDelay is long enough for a ticket that a server sends unasked.
const ticketDelay = 100 * time.Millisecond

func anyTicket(int) error { return errors.New("the server sent a session ticket") }

var ticketSurprisesClient = Persona{
	ID:       "ticket-surprises-client",
	Case:     "ticket-surprises-client",
	Does:     "Sends EHLO at once after the handshake, and closes silently on any session ticket before the reply",
	onTicket: anyTicket,
}

// A ticket and data in one read broke programs on Schannel
// (https://github.com/curl/curl/issues/18029). The delay separates tickets that the server
// sends by itself from those that it sends with the reply.
var ticketWithData = Persona{
	ID:                    "ticket-with-data",
	Case:                  "ticket-surprises-client",
	Does:                  "Waits 0.5 s after the handshake before it sends EHLO, and closes silently if a session ticket and the reply arrive in one segment",
	Delay:                 500 * time.Millisecond, // else a ticket of a busy server would pass for one with the reply
	delaysEHLO:            true,
	refusesTicketWithData: true,
}

const (
	// ticketLimit is the largest ticket that largeTicket accepts, in bytes. The limit of the
	// clients in the reports is unknown; this is that of the case in package interop.
	ticketLimit = 2048

	// longChain is the number of certificates that largeTicket sends: enough for a larger
	// ticket, from a server that puts them into it.
	longChain = 8
)

var largeTicket = Persona{
	ID:         "large-ticket",
	Case:       "large-ticket",
	Does:       "Sends eight certificates if asked, waits 0.1 s after the handshake, and closes silently on a session ticket above 2,048 bytes",
	Delay:      ticketDelay,
	delaysEHLO: true,
	configure: func(config *tls.Config, t Target) error {
		return sendCertificate(config, t, longChain)
	},
	onTicket: func(size int) error {
		if size <= ticketLimit {
			return nil
		}
		return fmt.Errorf("the server sent a session ticket of %d bytes", size)
	},
}

// The server must not send a ticket to this client (RFC 8446, Section 4.2.9). OpenSSL
// does so (https://github.com/nurl-lang/nurl/issues/1057).
var ticketWithoutPSKModes = Persona{
	ID:       "ticket-without-psk-modes",
	Does:     "Sends no psk_key_exchange_modes, and closes silently on a session ticket, which the server must not send then",
	onTicket: func(int) error { return errors.New("the server sent a session ticket that the client cannot use") },
	shape: func(t Target) *utls.ClientHelloSpec {
		spec := without[*utls.PSKKeyExchangeModesExtension](openSSLShape(t))
		spec = without[*utls.SessionTicketExtension](spec) // which would ask for one of TLS 1.2
		return without[*utls.UtlsPreSharedKeyExtension](spec)
	},
}
