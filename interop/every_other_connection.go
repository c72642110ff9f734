package interop

import "postern/handshake"

var everyOtherConnection = Case{
	ID:      "every-other-connection",
	Title:   "Every second handshake fails: the server aborts those that offer a session",
	Clients: "all clients that resume, with a server that cannot handle its own tickets",
	Since:   "2026-07",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/eclipse-threadx/netxduo/issues/403", "2026-07", "Java clients succeeded with every second connection: the server aborted those with a ticket, and the next came without one."},
	},
	Explanation: "The client offered to resume a session, and the server ended the handshake instead of resuming or making a full one. " +
		"RFC 8446, Section 4.2.11 lets a server ignore an offer that it cannot use. " +
		"The client then drops the ticket, succeeds with its next connection, receives a new ticket, and fails again. " +
		"Look for ticket keys that differ between machines, were lost in a restart, or cannot be read.",
	Remedy: Remedy{
		Postern: "Postern makes a full handshake when it cannot decrypt a ticket. If you see this case with Postern, please report it with the transcript.",
		Sender:  "Nothing is wrong with your client. It can turn off its cache of TLS sessions until the receiving server is fixed.",
		OtherSoftware: []Advice{
			{"Go programs", "Return nil without an error from tls.Config.UnwrapSession for a ticket that cannot be used."},
			{"NetX Duo", "See eclipse-threadx/netxduo#403. Until it is fixed, disable session tickets."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		if t.ClientHello == nil || !offersSession(t.ClientHello) || lacking(t.ClientHello) != lacksNothing || has(t, handshake.Server, handshake.TypeServerHello) {
			return 0, nil
		}
		offer := helloAt(t, "the client offered a session of an earlier connection")
		if description, message, ok := alerted(t, handshake.Server); ok && description != unrecognizedName {
			return Likely, []Observation{offer, alert(description, "the server", message)}
		}
		ended := t.End.Kind == handshake.EndDropped || t.End.Kind == handshake.EndClosed || t.End.Kind == handshake.EndReset
		if !ended || t.End.By != handshake.Server {
			return 0, nil
		}
		return Likely, []Observation{offer, {"the server closed the connection instead of answering", whole}}
	},
}
