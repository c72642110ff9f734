package probe

import (
	"context"
	"fmt"
	"net"
	"time"

	"postern/handshake"
	"postern/internal/tlsrecord"
	"postern/interop"
)

// ticketOrder tells when the session ticket leaves, how many there are, how large they
// are and how long they last.
func ticketOrder(e *exam) []Finding {
	t := e.first.Transcript
	if !e.first.Completed || t == nil {
		return nil
	}
	tickets := ticketsOf(t)
	if len(tickets) == 0 {
		return nil // see resumption
	}
	seen := describe(t, tickets)
	if !t.IsEarlyTicket(tickets[0]) {
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
		if m.Type == handshake.TypeNewSessionTicket {
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

// slowness is how long a slow client leaves the server's first flight unread once it
// begins to arrive. What a server sends without waiting for the client's Finished, in
// a write of its own as GnuTLS does, has come by then even from a busy machine: else
// it would be a matter of luck who meets it first.
const slowness = 200 * time.Millisecond

// DialSlowly connects as a client that is slow, 0.2 s, to answer the server's first
// flight: a persona that looks for what comes early has it for its Target.Dial.
// Its errors are those of a [net.Dialer].
func DialSlowly(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &slow{Conn: conn, ctx: ctx}, nil
}

// slow is a client's conn that pauses once, when the answer to its ClientHello begins
// to arrive: how long a server takes to begin is no part of the pause.
type slow struct {
	net.Conn
	ctx   context.Context
	phase phase
}

type phase int

const (
	beforeHello phase = iota
	awaitingFlight
	paused
)

// Write looks for the ClientHello: a handshake record (RFC 8446, Section 5.1), which
// no command in clear looks like.
func (s *slow) Write(b []byte) (int, error) {
	if s.phase == beforeHello && tlsrecord.BeginsHandshake(b) {
		s.phase = awaitingFlight
	}
	return s.Conn.Write(b)
}

func (s *slow) Read(b []byte) (int, error) {
	if s.phase != awaitingFlight || len(b) < 2 {
		return s.Conn.Read(b)
	}
	n, err := s.Conn.Read(b[:1])
	if err != nil {
		return n, err
	}
	s.phase = paused
	select {
	case <-time.After(slowness):
	case <-s.ctx.Done():
	}
	rest, err := s.Conn.Read(b[n:])
	if err != nil && rest == 0 {
		return n, nil // the next Read tells the error
	}
	return n + rest, nil
}
