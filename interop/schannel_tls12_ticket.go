package interop

import (
	"crypto/tls"

	"postern/handshake"
)

var schannelTLS12Ticket = Case{
	ID:      "schannel-tls12-ticket",
	Title:   "Fails on the session ticket of TLS 1.2",
	Clients: "old versions of Schannel, the TLS library of Windows",
	Since:   "2015",
	Status:  Reported,
	Sources: []Source{
		{"https://github.com/dotnet/corefx/issues/3889", "2015", "Clients on old Windows failed with a large CDN until it disabled tickets for the certificates concerned."},
	},
	Explanation: "In TLS 1.2 the server sends its session ticket just before its own Finished, to clients that support tickets (RFC 5077). " +
		"This client announced support, received a ticket, and ended the connection there. " +
		"Old versions of Schannel are reported to do that. A client that rejects something else in the last flight looks the same.",
	Remedy: Remedy{
		Postern: "If it closes silently several times, Postern sends this sender no ticket, for one connection, and from then on if that helps. mode = \"no-ticket\" does that for every sender.",
		Sender:  "Install the updates of Windows, or of your client's TLS library. Until then, turn off session tickets in the client.",
		OtherSoftware: []Advice{
			{"Postfix", "Set tls_ssl_options = NO_TICKET. Sessions can still be resumed by their ID."},
			{"Go programs", "Set tls.Config.SessionTicketsDisabled in the config that GetConfigForClient returns for such clients."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := index(t, handshake.Server, handshake.TypeNewSessionTicket)
		if !arrived(t, ticket) || t.ServerHello == nil || t.ServerHello.Version != tls.VersionTLS12 || t.ServerHello.Resumed ||
			t.Messages[ticket].Size > usualTicket || t.Use != handshake.UseNone {
			return 0, nil
		}
		cause := Observation{"the server sent a session ticket of TLS 1.2", ticket}
		return endedAfter(t, cause)
	},
}
