package persona

import (
	"errors"
	"time"
)

var ticketAfterFinished = Persona{
	ID:        "ticket-after-finished",
	Case:      "ticket-after-finished",
	Does:      "Waits 0.1 s after the handshake, then speaks, and closes silently on any session ticket",
	Pause:     ticketPause,
	hesitates: true,
	minds:     anyTicket,
}

// ticketPause is long enough for a ticket that a server sends of its own accord.
const ticketPause = 100 * time.Millisecond

func anyTicket(int) error { return errors.New("the server sent a session ticket") }
