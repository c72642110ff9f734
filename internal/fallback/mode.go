package fallback

import (
	"encoding/json"
	"slices"

	"postern/sessionticket"
)

// order lists the modes from the least to the most compatible one: each known client that
// survives one survives the later ones. A sender falls back to later modes and recovers to
// earlier ones. Those before own-write are used only where they are the initial mode, since
// they give the client nothing that own-write does not.
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

// reachable returns the modes that a sender can get if it begins in the initial one.
func reachable(initial sessionticket.Mode) []sessionticket.Mode {
	own := rank(sessionticket.OwnWrite)
	if rank(initial) >= own {
		return order[rank(initial):]
	}
	return append([]sessionticket.Mode{initial}, order[own:]...)
}

// before returns the mode to which a sender recovers from m, which is safer than the initial
// one.
func before(m, initial sessionticket.Mode) sessionticket.Mode {
	if m == sessionticket.OwnWrite {
		return initial
	}
	return order[rank(m)-1]
}

// givesTickets reports whether the client gets session tickets in mode m.
func givesTickets(m sessionticket.Mode) bool { return !safer(m, sessionticket.OwnWrite) }

// byMode has a value for each mode. It is stored by the modes' names, so that their order can
// change.
type byMode[T comparable] [modes]T

// MarshalJSON returns an object of the values that are not zero.
func (v byMode[T]) MarshalJSON() ([]byte, error) {
	var zero T
	named := make(map[sessionticket.Mode]T)
	for mode, value := range v {
		if value != zero {
			named[sessionticket.Mode(mode)] = value
		}
	}
	return json.Marshal(named)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *byMode[T]) UnmarshalJSON(text []byte) error {
	var named map[sessionticket.Mode]T
	if err := json.Unmarshal(text, &named); err != nil {
		return err
	}
	*v = byMode[T]{}
	for mode, value := range named {
		v[mode] = value // the names are of known modes
	}
	return nil
}
