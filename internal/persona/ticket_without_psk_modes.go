package persona

import (
	"errors"

	utls "github.com/refraction-networking/utls"
)

// The server must not send a ticket to this client (RFC 8446, Section 4.2.9). OpenSSL
// does (https://github.com/nurl-lang/nurl/issues/1057).
var ticketWithoutPSKModes = Persona{
	ID:    "ticket-without-psk-modes",
	Does:  "Sends no psk_key_exchange_modes, and closes silently on the session ticket that the server must not send then",
	minds: func(int) error { return errors.New("the server sent a session ticket that the client cannot use") },
	shape: func(t Target) *utls.ClientHelloSpec {
		spec := without[*utls.PSKKeyExchangeModesExtension](openSSLShape(t))
		spec = without[*utls.SessionTicketExtension](spec) // that would ask for one of TLS 1.2
		return without[*utls.UtlsPreSharedKeyExtension](spec)
	},
}
