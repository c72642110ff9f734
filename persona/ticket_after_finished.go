package persona

import (
	"errors"
	"time"
)

var ticketAfterFinished = Persona{
	ID:        "ticket-after-finished",
	Case:      "ticket-after-finished",
	Does:      "Waits 0.1 s after the handshake, then speaks, and closes silently on any session ticket",
	Pause:     100 * time.Millisecond,
	hesitates: true,
	minds:     anyTicket,
}

func anyTicket(int) error { return errors.New("the server sent a session ticket") }
