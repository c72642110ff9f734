package handshake

import "testing"

func TestOutcomeMovesOnSilentClosesOnly(t *testing.T) {
	flight := []Message{
		{From: Client, Type: ClientHello}, {From: Server, Type: ServerHello}, {From: Server, Type: Finished},
	}
	early := append(flight[:3:3], Message{From: Server, Type: NewSessionTicket})
	done := append(flight[:3:3], Message{From: Client, Type: Finished})
	ticket := append(done[:4:4], Message{From: Server, Type: NewSessionTicket})
	goodbye := append(ticket[:5:5], Message{From: Client, Type: Alert})
	closed := End{How: Closed, By: Client}
	for name, test := range map[string]struct {
		messages  []Message
		completed bool
		use       Use
		end       End
		want      Outcome
	}{
		"mail came":                            {ticket, true, Mailed, closed, Worked},
		"a command came, the server closed":    {ticket, true, Spoke, End{How: Closed, By: Server}, Worked},
		"a command came, silent after ticket":  {ticket, true, Spoke, closed, ClosedAfterTicket},
		"a command came, the Finished refused": {done, false, Spoke, End{How: Alerted, By: Server}, Inconclusive},
		"nothing came, silent after ticket":    {ticket, true, Unused, closed, ClosedAfterTicket},
		"nothing came, close_notify":           {goodbye, true, Unused, closed, Inconclusive},
		"nothing came, no ticket":              {done, true, Unused, closed, Inconclusive},
		"a command came, silent, no ticket":    {done, true, Spoke, closed, Worked},
		"silent after the flight":              {flight, false, Unused, closed, ClosedAfterFlight},
		"silent after the flight and a ticket": {early, false, Unused, closed, ClosedAfterFlight},
		"silent before the flight's end":       {flight[:2], false, Unused, closed, Inconclusive},
		"an alert after the flight":            {flight, false, Unused, End{How: Alerted, By: Client}, Inconclusive},
		"a reset after the flight":             {flight, false, Unused, End{How: Reset, By: Client}, Inconclusive},
		"a timeout after the flight":           {flight, false, Unused, End{How: TimedOut, By: Client}, Inconclusive},
		"the server closed after the flight":   {flight, false, Unused, End{How: Closed, By: Server}, Inconclusive},
		"nothing at all":                       {nil, false, Unused, End{}, Inconclusive},
	} {
		got := (&Transcript{Messages: test.messages, Completed: test.completed, Use: test.use, End: test.end}).Outcome()
		if got != test.want {
			t.Errorf("%s: outcome %d, want %d", name, got, test.want)
		}
	}
}
