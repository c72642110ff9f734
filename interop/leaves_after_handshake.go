package interop

import "postern/handshake"

var leavesAfterHandshake = Case{
	ID:      "leaves-after-handshake",
	Title:   "Completes the handshake and leaves without sending mail",
	Clients: "senders that check TLSA records or an MTA-STS policy after the handshake",
	Since:   "2024-10",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/mullvad/mullvadvpn-app/issues/7100", "2024-10", "Postfix reported \"no matching DANE TLSA records\" and left."},
		{"https://github.com/stalwartlabs/webadmin/issues/107", "2025-09", "Four large senders completed TLS 1.3 and sent no MAIL, two others delivered; the cause was not stated."},
		{"https://github.com/mail-in-a-box/mailinabox/issues/172", "", "TLSA records that were not updated with the certificate."},
	},
	Explanation: "The handshake completed, and the client left at once, with QUIT or silently. " +
		"Some senders compare the certificate with TLSA records or an MTA-STS policy only then. " +
		"If outlook.com, Proton, Posteo or Riseup fail while Gmail and Yahoo deliver, suspect DANE, which the latter do not check. " +
		"Monitors that send QUIT at once look the same, so it is not counted as a failure: check who the client is.",
	Remedy: Remedy{
		Postern: "Compare your TLSA records and the mx lines of your MTA-STS policy with the certificate and name that Postern serves: postern probe does that. Publish a new TLSA record before each new key.",
		Sender:  "See in your server's log why it left: often the certificate matches neither the TLSA records nor the MTA-STS policy. Send that reason to the receiving side.",
		OtherSoftware: []Advice{
			{"all servers", "Do the same: the check is the sender's, and it sees only DNS and the certificate."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		if !t.Completed || t.ServerHello != nil && t.ServerHello.Resumed {
			return 0, nil // it accepted the certificate before
		}
		done := Observation{"the handshake completed", whole}
		command := index(t, handshake.Client, handshake.TypeApplicationData)
		switch {
		case t.Use == handshake.UseData && command >= 0 && saysQuit(t, command):
			return Possible, []Observation{done, {"the client's first command has the size of QUIT", command}}
		case t.Use == handshake.UseNone && left(t) && !has(t, handshake.Server, handshake.TypeNewSessionTicket):
			return Possible, []Observation{done, leaving(t)}
		}
		return 0, nil
	},
}

// saysQuit reports whether a command may be QUIT. Only its size is known; the other
// commands of that size (NOOP, RSET, HELP) do not come first.
func saysQuit(t *handshake.Transcript, command int) bool {
	return t.Messages[command].Size == len("QUIT\r\n")
}
