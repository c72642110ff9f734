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

// checkTicketOrder reports when the session ticket is sent, and the number, size and lifetime
// of tickets.
func checkTicketOrder(p *addressProbe) []Finding {
	t := p.first.Transcript
	if !p.first.Completed || t == nil {
		return nil
	}
	tickets := ticketsIn(t)
	if len(tickets) == 0 {
		return nil // see checkResumption
	}
	seen := describeTickets(t, tickets)
	if !t.IsEarlyTicket(tickets[0]) {
		return []Finding{okFinding("ticket-order", "The session ticket is sent after the client's Finished", seen...)}
	}
	known, _ := interop.Find("early-ticket")
	return []Finding{{
		ID: "ticket-order", Severity: Notice, Case: known, Transcript: t,
		Title:    "The session ticket is sent before the client's Finished",
		Evidence: append(seen, "RFC 8446, Section 4.6.1 allows it, but not every client tolerates it"),
		Advice:   p.software.adviceOn(known), Sources: sourceURLs(known),
	}}
}

// ticketsIn returns the indices of the session tickets among a handshake's messages.
func ticketsIn(t *handshake.Transcript) (indices []int) {
	for i, m := range t.Messages {
		if m.Type == handshake.TypeNewSessionTicket {
			indices = append(indices, i)
		}
	}
	return indices
}

func describeTickets(t *handshake.Transcript, tickets []int) []string {
	m := t.Messages[tickets[0]]
	seen := []string{fmt.Sprintf("one ticket of %d bytes", m.Size)}
	if len(tickets) > 1 {
		seen[0] = fmt.Sprintf("%d tickets, the first of %d bytes", len(tickets), m.Size)
	}
	if m.Ticket != nil && m.Ticket.Lifetime > 0 {
		seen = append(seen, "lifetime "+m.Ticket.Lifetime.Round(time.Second).String())
	}
	return seen
}

// slowPause is how long a slow client waits when the server's first flight begins to arrive,
// before it reads on. By then everything has arrived that the server sends without waiting
// for the client's Finished, even from a busy machine and in a write of its own, as GnuTLS
// does. Otherwise it would be chance which persona sees it.
const slowPause = 200 * time.Millisecond

// DialSlowly is a dial function for personas that observe what a server sends early: a client
// that waits 0.2 s before it answers the server's first flight. Its errors are those of a
// [net.Dialer].
func DialSlowly(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &slowConn{Conn: conn, ctx: ctx}, nil
}

// slowConn pauses once, when the answer to the ClientHello begins to arrive: the time that a
// server takes to begin is not part of the pause.
type slowConn struct {
	net.Conn
	ctx       context.Context
	helloSent bool
	paused    bool
}

func (c *slowConn) Write(b []byte) (int, error) {
	c.helloSent = c.helloSent || tlsrecord.BeginsHandshake(b)
	return c.Conn.Write(b)
}

func (c *slowConn) Read(b []byte) (int, error) {
	if !c.helloSent || c.paused || len(b) < 2 {
		return c.Conn.Read(b)
	}
	n, err := c.Conn.Read(b[:1])
	if err != nil {
		return n, err
	}
	c.paused = true
	select {
	case <-time.After(slowPause):
	case <-c.ctx.Done():
	}
	rest, err := c.Conn.Read(b[n:])
	if err != nil && rest == 0 {
		return n, nil // the next Read returns the error
	}
	return n + rest, nil
}
