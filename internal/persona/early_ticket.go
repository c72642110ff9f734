package persona

import (
	"net"

	"postern/sessionticket/strictclient"
)

var earlyTicket = Persona{
	ID:    "early-ticket",
	Case:  "early-ticket",
	Does:  "Closes silently when a session ticket comes before its own Finished",
	below: func(c net.Conn) net.Conn { return strictclient.New(c) },
}
