package fallback

import (
	"cmp"
	"testing"

	"postern/handshake"
	"postern/sessionticket"
)

// knownClients are the kinds of client that fail because of tickets or of TLS 1.3, by the case
// where there is one, as they end where the server speaks first. Clients that mind only a ticket
// in a read with the Finished fail as those do that mind the order; both may mind any ticket
// that shares a read. After STARTTLS some of them close after their first command: see
// [handshake.ClosedAfterReply].
var knownClients = map[string]client{
	"healthy":                   healthy,
	"early-ticket":              earlyTicket,
	"ticket-in-finished-read":   earlyTicket,
	"ticket-with-data":          ticketWithData,
	"a ticket in a shared read": sharedRead,
	"ticket-after-finished":     refusesTickets,
	"ticket-surprises-client":   surprisedByTickets,
	"no TLS 1.3":                intolerant13,
}

// An ending is a mode and how a handshake in it failed.
type ending struct {
	mode    sessionticket.Mode
	outcome handshake.Outcome
}

// endings has all that say something about the mode.
var endings = []ending{
	{stock, handshake.ClosedAfterFlight}, {stock, handshake.ClosedAfterTicket},
	{firstWrite, handshake.ClosedAfterFlight}, {firstWrite, handshake.ClosedAfterTicket},
	{ownWrite, handshake.ClosedAfterFlight}, {ownWrite, handshake.ClosedAfterTicket},
	{noTicket, handshake.ClosedAfterFlight},
}

// A cost is what a table of remedies costs the known clients. Less given up comes first: a lost
// attempt delays one message, the wrong mode is used for hours.
type cost struct {
	givenUp int // tickets and TLS 1.3 that clients lose without need
	lost    int // attempts
}

func (c cost) compare(other cost) int {
	return cmp.Or(cmp.Compare(c.givenUp, other.givenUp), cmp.Compare(c.lost, other.lost))
}

// add adds a client that delivers in the given mode after so many lost attempts.
func (c *cost) add(of client, mode sessionticket.Mode, lost int) {
	c.lost += lost
	c.givenUp += givesUp(mode)
	for _, needed := range []sessionticket.Mode{ownWrite, noTicket, tls12} {
		if of[needed] == handshake.Worked {
			c.givenUp -= givesUp(needed)
			return
		}
	}
}

// givesUp counts what a mode takes from a client: tickets, TLS 1.3.
func givesUp(mode sessionticket.Mode) int { return max(0, rank(mode)-rank(ownWrite)) }

// Of all tables that say which mode follows which ending, the one in force costs the known
// clients least, in each initial mode. That some modes have to help in a trial first costs the
// same with each table.
func TestRemediesLoseFewestAttempts(t *testing.T) {
	for _, initial := range order[:] {
		var ours cost
		inForce := make(map[ending]sessionticket.Mode)
		for _, e := range endings {
			inForce[e] = (&State{Mode: e.mode}).remedy(e.outcome)
		}
		for _, c := range knownClients {
			mode, lost := c.follow(initial, inForce)
			ours.add(c, mode, lost)
		}
		least, tables := ours, 0
		eachTable(func(table map[ending]sessionticket.Mode) {
			tables++
			var theirs cost
			for _, c := range knownClients {
				mode, lost := c.follow(initial, table)
				theirs.add(c, mode, lost)
			}
			if theirs.compare(least) < 0 {
				least = theirs
				t.Logf("%v: better: %+v with %v", initial, theirs, table)
			}
		})
		t.Logf("%v: %+v, the least of %d tables: %+v", initial, ours, tables, least)
		if ours != least {
			t.Errorf("%v: the remedies cost %+v, others %+v", initial, ours, least)
		}
	}
}

// eachTable calls f with every table.
func eachTable(f func(map[ending]sessionticket.Mode)) {
	table := make(map[ending]sessionticket.Mode)
	var fill func(int)
	fill = func(i int) {
		if i == len(endings) {
			f(table)
			return
		}
		for _, mode := range []sessionticket.Mode{firstWrite, ownWrite, noTicket, tls12} {
			if mode != endings[i].mode {
				table[endings[i]] = mode
				fill(i + 1)
			}
		}
	}
	fill(0)
}

// follow returns the mode in which the client delivers when it follows the table, and the
// attempts that it loses. Where the table leads in a circle it gets the safest mode.
func (c client) follow(initial sessionticket.Mode, table map[ending]sessionticket.Mode) (sessionticket.Mode, int) {
	mode := initial
	for lost := range modes {
		if c[mode] == handshake.Worked {
			return mode, lost
		}
		outcome := c[mode]
		if outcome == handshake.ClosedAfterReply {
			outcome = handshake.ClosedAfterTicket // the remedies are the same
		}
		mode = table[ending{mode, outcome}]
	}
	return tls12, modes
}
