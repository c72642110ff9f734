package probe

import (
	"fmt"
	"slices"
	"time"

	"postern/handshake"
	"postern/interop"
)

// ticketOrder tells when the session ticket leaves, how many there are, how large they
// are and how long they last.
func ticketOrder(e *exam) []Finding {
	t := e.first.Transcript
	if !e.first.In || t == nil {
		return nil
	}
	tickets := slices.DeleteFunc(indices(t), func(i int) bool { return t.Messages[i].Type != handshake.NewSessionTicket })
	if len(tickets) == 0 {
		return nil // see resumption
	}
	seen := describe(t, tickets)
	if !t.Early(tickets[0]) {
		return []Finding{fine("ticket-order", "The session ticket comes after the client's Finished", seen...)}
	}
	known, _ := interop.Find("early-ticket")
	return []Finding{{
		ID: "ticket-order", Severity: Notice, Case: known, Transcript: t,
		Title:    "The session ticket comes before the client's Finished",
		Evidence: append(seen, "RFC 8446, Section 4.6.1 allows it, and not every client tolerates it"),
		Advice:   e.software.adviceOn(known), Sources: sourcesOf(known),
	}}
}

func indices(t *handshake.Transcript) []int {
	all := make([]int, len(t.Messages))
	for i := range all {
		all[i] = i
	}
	return all
}

func describe(t *handshake.Transcript, tickets []int) []string {
	m := t.Messages[tickets[0]]
	seen := []string{fmt.Sprintf("%d of them, the first of %d bytes", len(tickets), m.Size)}
	if m.Ticket != nil && m.Ticket.Lifetime > 0 {
		seen = append(seen, "good for "+m.Ticket.Lifetime.Round(time.Second).String())
	}
	return seen
}
