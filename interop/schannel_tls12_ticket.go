package interop

import (
	"crypto/tls"

	"postern/handshake"
)

var schannelTLS12Ticket = Case{
	ID:      "schannel-tls12-ticket",
	Title:   "Fails on the session ticket of TLS 1.2",
	Clients: "old versions of Schannel, the TLS of Windows",
	Since:   "2015",
	Status:  Reported,
	Sources: []Source{
		{"https://github.com/dotnet/corefx/issues/3889", "2015", "Clients on old Windows failed at a large CDN until it turned tickets off for the certificates concerned."},
	},
	Explanation: "In TLS 1.2 the server sends its session ticket just before its own Finished, to clients that say that they understand it (RFC 5077). " +
		"This client said so, got one, and ended the connection there. " +
		"Old versions of Schannel are reported to do that; a client that minds something else in the last flight looks the same.",
	Remedy: Remedy{
		Postern: "mode = \"no-ticket\" turns tickets off for everyone; the sender is offered a handshake without them when it comes again.",
		OtherSoftware: []Advice{
			{"Postfix", "Set tls_ssl_options = NO_TICKET; sessions can still be resumed by their ID."},
			{"Go programs", "Set tls.Config.SessionTicketsDisabled in the config that GetConfigForClient gives to such clients."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ticket := index(t, handshake.Server, handshake.TypeNewSessionTicket)
		if ticket < 0 || t.ServerHello == nil || t.ServerHello.Version != tls.VersionTLS12 || t.ServerHello.Resumed ||
			t.Messages[ticket].Size > usualTicket || t.Use != handshake.UseNone {
			return 0, nil
		}
		seen := Observation{"the server sent a session ticket of TLS 1.2", ticket}
		return endedOver(t, seen)
	},
}
