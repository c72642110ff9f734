package fallback

import "fmt"

// A Rung is one way to offer the handshake. They are ordered: the greater, the more
// careful, and the more is given up for it.
type Rung uint8

const (
	// Stock has the ticket in the server's first flight, as crypto/tls sends it. It is on
	// the ladder only where it is the first rung.
	Stock Rung = iota

	// FirstWrite has the ticket in the server's first write after the client's Finished,
	// before the reply it carries.
	FirstWrite

	// OwnWrite has the ticket in a write of its own after the client's Finished.
	OwnWrite

	// NoTicket gives no ticket and takes none: every handshake is a full one.
	NoTicket

	// TLS12 is TLS 1.2 at most, without tickets. A client that does not offer TLS 1.2 must
	// be served [NoTicket] instead, and that rung be told to [Ladder.Learn].
	TLS12

	rungs = iota
)

var rungNames = [rungs]string{"stock", "first-write", "own-write", "no-ticket", "tls12"}

// tickets reports whether a ticket is given on r.
func (r Rung) tickets() bool { return r < NoTicket }

// String returns "stock", "first-write", "own-write", "no-ticket" or "tls12".
func (r Rung) String() string {
	if r >= rungs {
		return fmt.Sprintf("Rung(%d)", uint8(r))
	}
	return rungNames[r]
}

// MarshalText returns the name that [Rung.String] gives, and an error when r is none of
// the constants.
func (r Rung) MarshalText() ([]byte, error) {
	if r >= rungs {
		return nil, unknown(r.String())
	}
	return []byte(rungNames[r]), nil
}

// UnmarshalText sets r from its name, exactly as [Rung.String] writes it. For any other
// text it returns an error that lists the names, and leaves r as it was.
func (r *Rung) UnmarshalText(text []byte) error {
	for i, name := range rungNames {
		if name == string(text) {
			*r = Rung(i)
			return nil
		}
	}
	return unknown(string(text))
}

func unknown(rung string) error {
	return fmt.Errorf("ladder: no rung %q; use stock, first-write, own-write, no-ticket or tls12", rung)
}
