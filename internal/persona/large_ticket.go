package persona

import (
	"crypto/tls"
	"fmt"
)

const (
	// ticketLimit is what the persona takes, in bytes. Where the limit of the clients
	// in the reports lies is not known; it is that of the case's recogniser.
	ticketLimit = 2048

	// longChain is how many certificates it shows: enough for a ticket above the limit,
	// from a server that puts them into it.
	longChain = 8
)

var largeTicket = Persona{
	ID:        "large-ticket",
	Case:      "large-ticket",
	Does:      "Shows eight certificates if asked, waits 0.1 s after the handshake, and closes silently on a session ticket above 2,048 bytes",
	Pause:     ticketPause,
	hesitates: true,
	configure: func(config *tls.Config, t Target) error {
		return show(config, t, longChain)
	},
	minds: func(ticket int) error {
		if ticket <= ticketLimit {
			return nil
		}
		return fmt.Errorf("the server sent a session ticket of %d bytes", ticket)
	},
}
