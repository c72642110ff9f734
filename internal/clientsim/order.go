package clientsim

import "postern/handshake"

// Order is when a server's session tickets leave, in TLS 1.3.
type Order uint8

// The orders.
const (
	Unknown  Order = iota // no client of TLS 1.3 got in
	NoTicket              // none do
	Before                // before it has the client's Finished, once at least
	After                 // after that
)

// Orders are those that are known, in the order in which people ask.
var Orders = []Order{Before, After, NoTicket}

// String returns "unknown", "none", "before" or "after".
func (o Order) String() string {
	return [...]string{"unknown", "none", "before", "after"}[min(o, After)]
}

// Words says it to a person.
func (o Order) Words() string {
	return [...]string{"not known", "none", "before the client's Finished", "after the client's Finished"}[min(o, After)]
}

// orderOf tells what the clients saw. A client that answers fast may see the same ticket
// after its Finished: one that saw it earlier is right.
func orderOf(cells []Cell) Order {
	order := Unknown
	for _, c := range cells {
		switch {
		case c.First == nil || c.First.Choice == nil || c.First.Choice.Version != handshake.VersionTLS13:
		case early(c.First):
			return Before
		case ticket(c.First):
			order = After
		case c.in() && order == Unknown:
			order = NoTicket
		}
	}
	return order
}

func early(t *handshake.Transcript) bool {
	for i := range t.Messages {
		if t.Early(i) {
			return true
		}
	}
	return false
}

func ticket(t *handshake.Transcript) bool {
	for _, m := range t.Messages {
		if m.Type == handshake.NewSessionTicket {
			return true
		}
	}
	return false
}
