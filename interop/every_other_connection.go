package interop

import "postern/handshake"

var everyOtherConnection = Case{
	ID:      "every-other-connection",
	Title:   "Gets in every other time: the server ends handshakes that offer a session",
	Clients: "all clients that resume, at a server that cannot honour its own tickets",
	Since:   "2026-07",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/eclipse-threadx/netxduo/issues/403", "2026-07", "Java clients got in at every second connection: the offer of a ticket was aborted, and the next attempt came without one."},
	},
	Explanation: "The client offered to resume a session, and the server ended the handshake instead of resuming or making a full one. " +
		"RFC 8446, Section 4.2.11 lets a server ignore an offer that it cannot use. " +
		"The client then forgets the ticket, gets in with its next connection, receives a new ticket, and fails again. " +
		"Look for ticket keys that differ between machines, were lost in a restart, or cannot be read.",
	Remedy: Remedy{
		Postern: "Postern makes a full handshake when it cannot open a ticket; if you see this here, send us the record.",
		OtherSoftware: []Advice{
			{"Go programs", "Return nil and no error from tls.Config.UnwrapSession for a ticket that cannot be used."},
			{"NetX Duo", "See eclipse-threadx/netxduo#403; until then turn session tickets off."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		if t.ClientHello == nil || !offersSession(t.ClientHello) || lacking(t.ClientHello) != lacksNothing || has(t, handshake.Server, handshake.TypeServerHello) {
			return 0, nil
		}
		offer := helloAt(t, "the client offered a session of an earlier connection")
		if description, message, ok := alerted(t, handshake.Server); ok && description != unrecognizedName {
			return likely, []Observation{offer, alert(description, "the server", message)}
		}
		ended := t.End.Kind == handshake.EndDropped || t.End.Kind == handshake.EndClosed || t.End.Kind == handshake.EndReset
		if !ended || t.End.By != handshake.Server {
			return 0, nil
		}
		return likely, []Observation{offer, {"the server closed the connection instead of answering", whole}}
	},
}
