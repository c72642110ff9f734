package clientsim

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/probe"
)

// A Matrix has the result of each client at each server.
type Matrix struct {
	Start   time.Time
	Took    time.Duration
	Clients []Client // the rows
	Servers []Server // the columns
	Missing []Missing
}

// A Client is a row.
type Client struct {
	Name    string `json:"id"`                // a persona's ID, or a program
	Version string `json:"release,omitempty"` // of a program; empty: unknown
	Does    string `json:"does"`              // in one line without a full stop
	Real    bool   `json:"real"`              // a program of others, not a persona
}

// Title returns the client's name and version.
func (c Client) Title() string { return strings.TrimSpace(c.Name + " " + c.Version) }

// A Server is a column.
type Server struct {
	Name    string
	Version string // empty: unknown
	Tickets TicketOrder
	Cells   []Cell // in the order of the clients
}

// Title returns the server's name and version.
func (s Server) Title() string { return strings.TrimSpace(s.Name + " " + s.Version) }

// A Missing is a server or client that did not run.
type Missing struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Broken bool   `json:"broken"` // it is installed and did not start
}

// A Cell is the result of a client at a server.
type Cell struct {
	Outcome    probe.Outcome
	Plaintext  bool       // TLS failed, and the server answered in plaintext
	Resumption Resumption // of the second connection
	Why        string     // why the handshake did not complete; safe to print

	// First and Second are the handshakes of the connections; nil if there was none.
	First, Second *handshake.Transcript
}

func (c Cell) completed() bool { return c.Outcome == probe.Completed }

// setInconclusive makes failed cells inconclusive.
func setInconclusive(cells []Cell) {
	for i := range cells {
		if cells[i].Outcome == probe.Failed {
			cells[i].Outcome = probe.Inconclusive
		}
	}
}

// Resumption is the result of the second connection, which offers a session.
type Resumption uint8

// The results of a second connection.
const (
	NoSession        Resumption = iota // there was none to offer
	Full                               // a full handshake completed
	Resumed                            // the session was resumed
	ResumptionFailed                   // the handshake failed
)

// String returns "no-session", "full", "resumed" or "failed".
func (r Resumption) String() string {
	return [...]string{"no-session", "full", "resumed", "failed"}[min(r, ResumptionFailed)]
}

// Incomplete reports whether a cell is inconclusive or a server did not start.
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

// A Mark is a cell in a table.
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

// legend has all marks in the order of a legend, with their meanings.
var legend = []struct {
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

// Means returns the meaning of a mark; empty if it is unknown.
func (m Mark) Means() string {
	for _, known := range legend {
		if known.Mark == m {
			return known.Means
		}
	}
	return ""
}

// Mark returns the mark of a cell.
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

// Legend returns the marks that occur in m, in the order of a legend.
func (m *Matrix) Legend() (used []Mark) {
	found := make(map[Mark]bool)
	for _, s := range m.Servers {
		for _, c := range s.Cells {
			found[c.Mark()] = true
		}
	}
	for _, known := range legend {
		if found[known.Mark] {
			used = append(used, known.Mark)
		}
	}
	return used
}

// Column returns the name of the i-th column, as in a spreadsheet: A to Z, then AA.
func Column(i int) string {
	head := ""
	for i++; i > 0; i = (i - 1) / 26 {
		head = string(rune('A'+(i-1)%26)) + head
	}
	return head
}

// TicketOrder is when a server's session ticket leaves in TLS 1.3.
type TicketOrder uint8

// The orders.
const (
	Unknown  TicketOrder = iota // no TLS 1.3 handshake completed
	NoTicket                    // there is no ticket
	Before                      // before the client's Finished, at least once
	After                       // after the client's Finished, before the client sent data
	WithData                    // only after the client's first data, so with the reply
)

// String returns "unknown", "none", "before", "after" or "with-data".
func (o TicketOrder) String() string {
	return [...]string{"unknown", "none", "before", "after", "with-data"}[min(o, WithData)]
}

// Words returns the order for a screen.
func (o TicketOrder) Words() string {
	return [...]string{"unknown", "none", "before the client's Finished", "after the client's Finished", "with the first reply"}[min(o, WithData)]
}

// ticketOrder returns the order that the clients saw. A client that is fast may see a ticket
// later than another, after its own Finished or data, so the one that saw it first decides.
// Some personas wait 0.1 s before they send data.
func ticketOrder(cells []Cell) TicketOrder {
	order := Unknown
	for _, c := range cells {
		switch {
		case c.First == nil || c.First.ServerHello == nil || c.First.ServerHello.Version != tls.VersionTLS13:
		case hasEarlyTicket(c.First):
			return Before
		case ticketIndex(c.First) >= 0:
			if order == After || ticketIndex(c.First) < firstData(c.First) {
				order = After
			} else {
				order = WithData
			}
		case c.completed() && order == Unknown:
			order = NoTicket
		}
	}
	return order
}

func hasEarlyTicket(t *handshake.Transcript) bool {
	for i := range t.Messages {
		if t.IsEarlyTicket(i) {
			return true
		}
	}
	return false
}

// ticketIndex returns the index of the first ticket; -1 if there is none.
func ticketIndex(t *handshake.Transcript) int {
	return slices.IndexFunc(t.Messages, func(m handshake.Message) bool { return m.Type == handshake.TypeNewSessionTicket })
}

// firstData returns the index of the client's first data; the number of messages if it sent
// none.
func firstData(t *handshake.Transcript) int {
	i := slices.IndexFunc(t.Messages, func(m handshake.Message) bool {
		return m.From == handshake.Client && m.Type == handshake.TypeApplicationData
	})
	if i < 0 {
		return len(t.Messages)
	}
	return i
}

// Finding summarises which clients fail over a session ticket and how many resume, by ticket
// order. Handshakes that failed for another reason do not count, and the text says so.
func (m *Matrix) Finding() string {
	sentences := []string{"Of failures over session tickets alone:"}
	for _, when := range []struct {
		order TicketOrder
		words string
	}{
		{Before, "A ticket before the client's Finished"},
		{After, "A ticket after the client's Finished, in a write of its own"},
		{WithData, "A ticket after it, with the first reply"},
		{NoTicket, "The lack of a ticket"},
	} {
		if servers := m.with(when.order); servers != nil {
			sentences = append(sentences, when.words+m.consequences(servers))
		}
	}
	if len(sentences) == 1 {
		return "No TLS 1.3 handshake completed."
	}
	if words := m.orderOrCoalescing(); words != "" {
		sentences = append(sentences, words)
	}
	return strings.Join(sentences, " ")
}

// orderOrCoalescing says whether the servers with early tickets show which of the two a
// client fails over: that the ticket precedes its Finished, or that it arrives in one read with
// the server's. Public reports fit both. It returns nothing without such servers.
func (m *Matrix) orderOrCoalescing() string {
	order := slices.IndexFunc(m.Clients, func(c Client) bool { return c.Name == "early-ticket" })
	coalescing := slices.IndexFunc(m.Clients, func(c Client) bool { return c.Name == "ticket-in-finished-read" })
	servers := m.with(Before)
	if servers == nil || order < 0 || coalescing < 0 {
		return ""
	}
	apart := 0
	for _, s := range servers {
		if failsOverTicket(s.Cells[order]) && s.Cells[coalescing].completed() {
			apart++
		}
	}
	words := "early-ticket fails if the ticket precedes its own Finished, ticket-in-finished-read only if the ticket shares a segment with the server's Finished: "
	if apart == 0 {
		return words + "no server here distinguishes them, since each sends an early ticket in that segment."
	}
	return fmt.Sprintf("%s%d of these servers sent it in a segment of its own, where only early-ticket fails.", words, apart)
}

// with returns the servers with a ticket order.
func (m *Matrix) with(order TicketOrder) (servers []Server) {
	for _, s := range m.Servers {
		if s.Tickets == order {
			servers = append(servers, s)
		}
	}
	return servers
}

// consequences says for some servers which clients fail because of a ticket, and how many
// resume at one of them at least.
func (m *Matrix) consequences(servers []Server) string {
	var failing []string
	resuming := 0
	for i, c := range m.Clients {
		failures, resumes := 0, false
		for _, s := range servers {
			if failsOverTicket(s.Cells[i]) {
				failures++
			}
			resumes = resumes || s.Cells[i].Resumption == Resumed
		}
		switch {
		case failures == len(servers):
			failing = append(failing, c.Name)
		case failures > 0:
			failing = append(failing, fmt.Sprintf("%s (at %d)", c.Name, failures))
		}
		if resumes {
			resuming++
		}
	}
	at := fmt.Sprintf("%d servers", len(servers))
	if len(servers) == 1 {
		at = "1 server"
	}
	resumed := fmt.Sprintf("%d of %d clients resume", resuming, len(m.Clients))
	switch resuming {
	case 0:
		resumed = "no client resumes"
	case 1:
		resumed = "1 client resumes"
	}
	return fmt.Sprintf(" (%s) makes %s fail; %s.", at, handshakesOf(failing), resumed)
}

// failsOverTicket reports whether the client closed silently when a ticket arrived.
func failsOverTicket(c Cell) bool {
	if c.Outcome != probe.Failed || c.First == nil {
		return false
	}
	switch c.First.Outcome() {
	case handshake.ClosedAfterTicket, handshake.ClosedAfterReply:
		return true
	case handshake.ClosedAfterFlight:
		return hasEarlyTicket(c.First)
	}
	return false
}

// handshakesOf joins clients as in a sentence.
func handshakesOf(clients []string) string {
	switch n := len(clients); n {
	case 0:
		return "no handshake"
	case 1:
		return "handshakes of " + clients[0]
	default:
		return "handshakes of " + strings.Join(clients[:n-1], ", ") + " and " + clients[n-1]
	}
}
