package probe

import (
	"fmt"
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
	tickets := ticketsOf(t)
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

// ticketsOf are the places of the tickets among a handshake's messages.
func ticketsOf(t *handshake.Transcript) (places []int) {
	for i, m := range t.Messages {
		if m.Type == handshake.NewSessionTicket {
			places = append(places, i)
		}
	}
	return places
}

func describe(t *handshake.Transcript, tickets []int) []string {
	m := t.Messages[tickets[0]]
	seen := []string{fmt.Sprintf("one ticket of %d bytes", m.Size)}
	if len(tickets) > 1 {
		seen[0] = fmt.Sprintf("%d tickets, the first of %d bytes", len(tickets), m.Size)
	}
	if m.Ticket != nil && m.Ticket.Lifetime > 0 {
		seen = append(seen, "good for "+m.Ticket.Lifetime.Round(time.Second).String())
	}
	return seen
}
