package clientsim

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/probe"
)

// A Matrix is what became of each client at each server.
type Matrix struct {
	Start   time.Time
	Took    time.Duration
	Clients []Client // the rows
	Servers []Server // the columns
	Missing []Missing
}

// A Client is a row.
type Client struct {
	Name    string `json:"id"`                // of a persona its ID
	Version string `json:"release,omitempty"` // of a real client; empty: unknown
	Does    string `json:"does"`              // in a line without a full stop
	Real    bool   `json:"real"`              // a program of others, not a persona
}

// Title is the client's name and version.
func (c Client) Title() string { return strings.TrimSpace(c.Name + " " + c.Version) }

// A Server is a column.
type Server struct {
	Name    string
	Version string // empty: not known
	Tickets TicketOrder
	Cells   []Cell // in the order of the clients
}

// Title is the server's name and version.
func (s Server) Title() string { return strings.TrimSpace(s.Name + " " + s.Version) }

// An Missing is a server or a client that is not in the matrix.
type Missing struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Broken bool   `json:"broken"` // it is installed and did not start
}

// A Cell is what became of a client at a server.
type Cell struct {
	Outcome    probe.Outcome
	Plaintext  bool       // it failed, came back without TLS, and was heard
	Resumption Resumption // what came of its second visit
	Why        string     // why it is not in; nothing in it moves a terminal's cursor

	// First and Second are the handshakes of its visits; nil where it did not come to one.
	First, Second *handshake.Transcript
}

func (c Cell) in() bool { return c.Outcome == probe.Completed }

// settle takes back what failures seem to say.
func settle(cells []Cell) {
	for i := range cells {
		if cells[i].Outcome == probe.Failed {
			cells[i].Outcome = probe.Inconclusive
		}
	}
}

// Resumption is what came of the visit with a session.
type Resumption uint8

// The returns.
const (
	NoSession        Resumption = iota // there was none to offer
	Full                               // it got in with a full handshake
	Resumed                            // it resumed
	ResumptionFailed                   // it did not get in
)

// String returns "no-session", "full", "resumed" or "failed".
func (r Resumption) String() string {
	return [...]string{"no-session", "full", "resumed", "failed"}[min(r, ResumptionFailed)]
}

// Incomplete reports that something could not be told, or did not start.
func (m *Matrix) Incomplete() bool {
	for _, a := range m.Missing {
		if a.Broken {
			return true
		}
	}
	for _, s := range m.Servers {
		for _, c := range s.Cells {
			if c.Outcome == probe.Inconclusive {
				return true
			}
		}
	}
	return false
}

// A Mark is what stands in a table for a cell.
type Mark string

// The marks.
const (
	MarkResumes          Mark = "res"
	MarkCompleted        Mark = "in"
	MarkResumptionFailed Mark = "bad"
	MarkFailed           Mark = "OUT"
	MarkPlaintext        Mark = "pl"
	MarkRefused          Mark = "ref"
	MarkInconclusive     Mark = "?"
)

// Marks are all of them in the order of a legend, each with what it means.
var Marks = []struct {
	Mark  Mark
	Means string
}{
	{MarkResumes, "handshake completes; the second connection resumes"},
	{MarkCompleted, "handshake completes; nothing is resumed"},
	{MarkResumptionFailed, "handshake completes; the second connection, with its session, fails"},
	{MarkFailed, "handshake fails"},
	{MarkPlaintext, "handshake fails; the client reconnects in plaintext"},
	{MarkRefused, "refused by the server, as it should be"},
	{MarkInconclusive, "inconclusive"},
}

// Means says what a mark means; nothing for what is none.
func (m Mark) Means() string {
	for _, known := range Marks {
		if known.Mark == m {
			return known.Means
		}
	}
	return ""
}

// Mark sums up a cell.
func (c Cell) Mark() Mark {
	switch {
	case c.Outcome == probe.Inconclusive:
		return MarkInconclusive
	case c.Outcome == probe.Refused:
		return MarkRefused
	case c.Outcome == probe.Failed && c.Plaintext:
		return MarkPlaintext
	case c.Outcome == probe.Failed:
		return MarkFailed
	case c.Resumption == Resumed:
		return MarkResumes
	case c.Resumption == ResumptionFailed:
		return MarkResumptionFailed
	}
	return MarkCompleted
}

// Legend returns the marks that stand in m, in the order of Marks.
func (m *Matrix) Legend() (used []Mark) {
	found := make(map[Mark]bool)
	for _, s := range m.Servers {
		for _, c := range s.Cells {
			found[c.Mark()] = true
		}
	}
	for _, known := range Marks {
		if found[known.Mark] {
			used = append(used, known.Mark)
		}
	}
	return used
}

// Column is the head of the i-th server's column, as in a spreadsheet: A to Z, AA and on.
func Column(i int) string {
	head := ""
	for i++; i > 0; i = (i - 1) / 26 {
		head = string(rune('A'+(i-1)%26)) + head
	}
	return head
}

// TicketOrder is when a server's session tickets leave, in TLS 1.3.
type TicketOrder uint8

// The orders.
const (
	Unknown  TicketOrder = iota // no client of TLS 1.3 got in
	NoTicket                    // none do
	Before                      // before it has the client's Finished, once at least
	After                       // after that
)

// TicketOrders are those that are known, in the order in which people ask.
var TicketOrders = []TicketOrder{Before, After, NoTicket}

// String returns "unknown", "none", "before" or "after".
func (o TicketOrder) String() string {
	return [...]string{"unknown", "none", "before", "after"}[min(o, After)]
}

// Words says it to a person.
func (o TicketOrder) Words() string {
	return [...]string{"unknown", "none", "before the client's Finished", "after the client's Finished"}[min(o, After)]
}

// orderOf tells what the clients saw. A client that answers fast may see the same ticket
// after its Finished: one that saw it earlier is right.
func orderOf(cells []Cell) TicketOrder {
	order := Unknown
	for _, c := range cells {
		switch {
		case c.First == nil || c.First.ServerHello == nil || c.First.ServerHello.Version != tls.VersionTLS13:
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
		if t.IsEarlyTicket(i) {
			return true
		}
	}
	return false
}

func ticket(t *handshake.Transcript) bool {
	for _, m := range t.Messages {
		if m.Type == handshake.TypeNewSessionTicket {
			return true
		}
	}
	return false
}

// Finding summarizes in a few sentences which clients fail and resume with which ticket
// order. A failed handshake counts only if it ended over a ticket.
func (m *Matrix) Finding() string {
	var sentences []string
	for _, o := range TicketOrders {
		if g := m.group(o); g.servers > 0 {
			sentences = append(sentences, g.sentence(o))
		}
	}
	if sentences == nil {
		return "No TLS 1.3 handshake completed."
	}
	return strings.Join(sentences, " ")
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

func (m *Matrix) group(o TicketOrder) group {
	g := group{clients: len(m.Clients)}
	left, resumed := make([]int, len(m.Clients)), make([]bool, len(m.Clients))
	for _, s := range m.Servers {
		if s.Tickets != o {
			continue
		}
		g.servers++
		for i, c := range s.Cells {
			if leftOverTicket(c) {
				left[i]++
			}
			resumed[i] = resumed[i] || c.Resumption == Resumed
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
	if c.Outcome != probe.Failed || c.First == nil {
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

// whenTickets begins the sentence of an order.
var whenTickets = map[TicketOrder]string{
	Before:   "With the ticket before the client's Finished (%s), handshakes fail for ",
	After:    "With the ticket after the client's Finished (%s), handshakes fail for ",
	NoTicket: "Without a ticket (%s), handshakes fail for ",
}

func (g group) sentence(o TicketOrder) string {
	at := fmt.Sprintf("%d servers", g.servers)
	if g.servers == 1 {
		at = "1 server"
	}
	var names []string
	for _, l := range g.left {
		name := l.client
		if l.at < g.servers {
			name += fmt.Sprintf(" (at %d)", l.at)
		}
		names = append(names, name)
	}
	text := fmt.Sprintf(whenTickets[o], at) + list(names)
	switch g.resumed {
	case 0:
		return text + "; no client resumes."
	case 1:
		return text + "; 1 client resumes."
	}
	return text + fmt.Sprintf("; %d of %d clients resume.", g.resumed, g.clients)
}

// list joins names as in a sentence.
func list(names []string) string {
	switch n := len(names); n {
	case 0:
		return "no client"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}
