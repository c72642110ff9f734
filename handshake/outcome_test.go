package handshake

import "testing"

func TestOnlySilentClosesAreConclusive(t *testing.T) {
	flight := []Message{
		{From: Client, Type: TypeClientHello}, {From: Server, Type: TypeServerHello}, {From: Server, Type: TypeFinished},
	}
	early := append(flight[:3:3], Message{From: Server, Type: TypeNewSessionTicket})
	flight12 := []Message{
		{From: Client, Type: TypeClientHello}, {From: Server, Type: TypeServerHello}, {From: Server, Type: TypeServerHelloDone},
	}
	exchanged := append(flight12[:3:3], Message{From: Client, Type: TypeClientKeyExchange})
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
		"a command came, silent after ticket":  {ticket, true, UseData, closed, ClosedAfterReply},
		"a command came, the Finished refused": {done, false, UseData, End{Kind: EndAlert, By: Server}, Inconclusive},
		"nothing came, silent after ticket":    {ticket, true, UseNone, closed, ClosedAfterTicket},
		"nothing came, close_notify":           {goodbye, true, UseNone, closed, Inconclusive},
		"nothing came, no ticket":              {done, true, UseNone, closed, Inconclusive},
		"a command came, silent, no ticket":    {done, true, UseData, closed, Inconclusive},
		"silent after the flight":              {flight, false, UseNone, closed, ClosedAfterFlight},
		"silent after the flight and a ticket": {early, false, UseNone, closed, ClosedAfterFlight},
		"silent before the flight's end":       {flight[:2], false, UseNone, closed, Inconclusive},
		"an alert after the flight":            {flight, false, UseNone, End{Kind: EndAlert, By: Client}, Inconclusive},
		"a reset after the flight":             {flight, false, UseNone, End{Kind: EndReset, By: Client}, Inconclusive},
		"a timeout after the flight":           {flight, false, UseNone, End{Kind: EndTimeout, By: Client}, Inconclusive},
		"the server closed after the flight":   {flight, false, UseNone, End{Kind: EndClosed, By: Server}, Inconclusive},
		"silent after the flight of TLS 1.2":   {flight12, false, UseNone, closed, ClosedAfterFlight},
		"silent after the own key exchange":    {exchanged, false, UseNone, closed, Inconclusive},
		"several commands came":                {ticket, true, UseData, End{}, Worked},
		"nothing at all":                       {nil, false, UseNone, End{}, Inconclusive},
	} {
		test.end.After = len(test.messages)
		got := (&Transcript{Messages: test.messages, Completed: test.completed, Use: test.use, End: test.end}).Outcome()
		if got != test.want {
			t.Errorf("%s: outcome %d, want %d", name, got, test.want)
		}
	}
}

// What has not arrived at the client is not why it left.
func TestOnlyWhatCanHaveArrivedIsConclusive(t *testing.T) {
	hello, flight := Message{From: Client, Type: TypeClientHello, Write: 1}, []Message{
		{From: Server, Type: TypeServerHello, Write: 2}, {From: Server, Type: TypeFinished, Write: 2},
		{From: Server, Type: TypeNewSessionTicket, Write: 2},
	}
	early := append([]Message{hello}, flight...)
	late := append(early[:3:3], Message{From: Client, Type: TypeFinished, Write: 3},
		Message{From: Server, Type: TypeNewSessionTicket, Write: 4}, Message{From: Server, Type: TypeApplicationData, Write: 5})
	for name, test := range map[string]struct {
		messages []Message
		after    int
		acked    Acknowledged
		want     Outcome
	}{
		"flight acknowledged":             {early, 4, AckAll, ClosedAfterFlight},
		"nothing known":                   {early, 4, AckUnknown, ClosedAfterFlight},
		"flight not acknowledged":         {early, 4, AckNone, Inconclusive},
		"end of flight not acknowledged":  {early, 4, AckPart, Inconclusive},
		"closed before the flight":        {early, 1, AckAll, Inconclusive},
		"closed before the ticket":        {late, 4, AckAll, Inconclusive},
		"ticket acknowledged":             {late, 6, AckAll, ClosedAfterTicket},
		"only the reply not acknowledged": {late, 6, AckPart, ClosedAfterTicket},
		"ticket not acknowledged":         {late, 5, AckPart, Inconclusive},
	} {
		transcript := &Transcript{Messages: test.messages, Completed: len(test.messages) > 4, Acknowledged: test.acked,
			End: End{Kind: EndClosed, By: Client, After: test.after}}
		if got := transcript.Outcome(); got != test.want {
			t.Errorf("%s: outcome %v, want %v", name, got, test.want)
		}
	}
}
