package fallback

import (
	"slices"

	"postern/sessionticket"
)

// order lists the modes from the least to the most compatible one. Each gives up more than
// the one before it: a sender falls back to later ones and recovers to earlier ones. Stock
// is used only where it is the initial mode.
var order = [...]sessionticket.Mode{
	sessionticket.Stock,
	sessionticket.FirstWrite,
	sessionticket.OwnWrite,
	sessionticket.NoTicket,
	sessionticket.TLS12,
}

const modes = len(order)

func rank(m sessionticket.Mode) int { return slices.Index(order[:], m) }

// safer reports whether m is more compatible than other.
func safer(m, other sessionticket.Mode) bool { return rank(m) > rank(other) }

// before returns the mode before m, which must not be the first.
func before(m sessionticket.Mode) sessionticket.Mode { return order[rank(m)-1] }

// givesTickets reports whether the client gets session tickets in mode m.
func givesTickets(m sessionticket.Mode) bool { return !safer(m, sessionticket.OwnWrite) }
