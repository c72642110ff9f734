package handshake

import "testing"

func TestOnlySilentClosesAreConclusive(t *testing.T) {
	flight := []Message{
		{From: Client, Type: TypeClientHello}, {From: Server, Type: TypeServerHello}, {From: Server, Type: TypeFinished},
	}
	early := append(flight[:3:3], Message{From: Server, Type: TypeNewSessionTicket})
	done := append(flight[:3:3], Message{From: Client, Type: TypeFinished})
	ticket := append(done[:4:4], Message{From: Server, Type: TypeNewSessionTicket})
	goodbye := append(ticket[:5:5], Message{From: Client, Type: TypeAlert})
	closed := End{Kind: EndClosed, By: Client}
	for name, test := range map[string]struct {
		messages  []Message
		completed bool
		use       Use
		end       End
		want      Outcome
	}{
		"mail came":                            {ticket, true, UseMail, closed, Worked},
		"a command came, the server closed":    {ticket, true, UseData, End{Kind: EndClosed, By: Server}, Worked},
		"a command came, silent after ticket":  {ticket, true, UseData, closed, ClosedAfterTicket},
		"a command came, the Finished refused": {done, false, UseData, End{Kind: EndAlert, By: Server}, Inconclusive},
		"nothing came, silent after ticket":    {ticket, true, UseNone, closed, ClosedAfterTicket},
		"nothing came, close_notify":           {goodbye, true, UseNone, closed, Inconclusive},
		"nothing came, no ticket":              {done, true, UseNone, closed, Inconclusive},
		"a command came, silent, no ticket":    {done, true, UseData, closed, Worked},
		"silent after the flight":              {flight, false, UseNone, closed, ClosedAfterFlight},
		"silent after the flight and a ticket": {early, false, UseNone, closed, ClosedAfterFlight},
		"silent before the flight's end":       {flight[:2], false, UseNone, closed, Inconclusive},
		"an alert after the flight":            {flight, false, UseNone, End{Kind: EndAlert, By: Client}, Inconclusive},
		"a reset after the flight":             {flight, false, UseNone, End{Kind: EndReset, By: Client}, Inconclusive},
		"a timeout after the flight":           {flight, false, UseNone, End{Kind: EndTimeout, By: Client}, Inconclusive},
		"the server closed after the flight":   {flight, false, UseNone, End{Kind: EndClosed, By: Server}, Inconclusive},
		"nothing at all":                       {nil, false, UseNone, End{}, Inconclusive},
	} {
		got := (&Transcript{Messages: test.messages, Completed: test.completed, Use: test.use, End: test.end}).Outcome()
		if got != test.want {
			t.Errorf("%s: outcome %d, want %d", name, got, test.want)
		}
	}
}
