package clientsim

import (
	"fmt"
	"strings"

	"postern/handshake"
	"postern/internal/probe"
)

// Finding says in a sentence which ticket order lets whom in, as the cells tell it. Of a
// client that is not in, it counts only when its handshake ended over a ticket.
func (m *Matrix) Finding() string {
	var clauses []string
	for _, o := range Orders {
		if g := m.group(o); g.servers > 0 {
			clauses = append(clauses, g.clause(o))
		}
	}
	if clauses == nil {
		return "No client of TLS 1.3 got in anywhere, so nothing is told."
	}
	sentence := strings.Join(clauses, "; ") + "."
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}

// A group is the servers of one order.
type group struct {
	servers int
	left    []leaving // in the order of the clients
	resumed int       // clients that resumed at one of them at least
	clients int
}

// A leaving is a client that left over a ticket.
type leaving struct {
	client string
	at     int // so many servers of the group
}

func (m *Matrix) group(o Order) group {
	g := group{clients: len(m.Clients)}
	left, resumed := make([]int, len(m.Clients)), make([]bool, len(m.Clients))
	for _, s := range m.Servers {
		if s.Order != o {
			continue
		}
		g.servers++
		for i, c := range s.Cells {
			if leftOverTicket(c) {
				left[i]++
			}
			resumed[i] = resumed[i] || c.Return == Resumed
		}
	}
	for i, c := range m.Clients {
		if left[i] > 0 {
			g.left = append(g.left, leaving{c.Name, left[i]})
		}
		if resumed[i] {
			g.resumed++
		}
	}
	return g
}

// leftOverTicket reports whether the client closed silently when a ticket came.
func leftOverTicket(c Cell) bool {
	if c.Fate != probe.Out || c.First == nil {
		return false
	}
	switch c.First.Outcome() {
	case handshake.ClosedAfterTicket:
		return true
	case handshake.ClosedAfterFlight:
		return early(c.First)
	}
	return false
}

// whenTickets begins the clause of an order.
var whenTickets = map[Order]string{
	Before:   "a ticket before the client's Finished (%s) keeps out ",
	After:    "a ticket after it (%s) keeps out ",
	NoTicket: "no ticket (%s) keeps out ",
}

func (g group) clause(o Order) string {
	at := fmt.Sprintf("%d servers", g.servers)
	if g.servers == 1 {
		at = "1 server"
	}
	clause := fmt.Sprintf(whenTickets[o], at)
	var names []string
	for _, l := range g.left {
		name := l.client
		if l.at < g.servers {
			name += fmt.Sprintf(" (at %d)", l.at)
		}
		names = append(names, name)
	}
	switch g.resumed {
	case 0:
		return clause + list(names) + ", and nobody resumes"
	case 1:
		return clause + list(names) + ", and 1 client resumes"
	}
	return clause + list(names) + fmt.Sprintf(", and %d of %d clients resume", g.resumed, g.clients)
}

// list joins names as in a sentence.
func list(names []string) string {
	switch n := len(names); n {
	case 0:
		return "nobody"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}
