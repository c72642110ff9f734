package interop

import "postern/handshake"

var helloRetryRefused = Case{
	ID:      "hello-retry-refused",
	Title:   "Fails on a HelloRetryRequest",
	Clients: "not known",
	Since:   "2023-07",
	Status:  Suspected,
	Sources: []Source{
		{"https://github.com/rustls/rustls/issues/1373", "2023-07", "A client that sent a key share for the wrong group could not connect; its reaction to the retry is not shown."},
	},
	Explanation: "The client sent key shares for groups that the server does not use, the server asked for another one with a HelloRetryRequest (RFC 8446, Section 4.1.4), and the client left. " +
		"Every TLS 1.3 client must answer one, but few ever receive one, so a defect in the client or in a device on the path can go unnoticed.",
	Remedy: Remedy{
		Postern: "Postern accepts every group of crypto/tls, so it sends a HelloRetryRequest only if it must. TLS 1.2 has none: pin the sender's network to it with postern senders pin NETWORK tls12 --why hello-retry-refused.",
		Sender:  "Send a key share for X25519 or P-256 in the first ClientHello. Update the TLS library of the sending server, and look for a device on the path that inspects TLS.",
		OtherSoftware: []Advice{
			{"Postfix", "Add the group of the client's key share to tls_eecdh_auto_curves; the transcript's ClientHello names it."},
			{"Go programs", "Leave tls.Config.CurvePreferences nil, or add that group to it."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		retry := index(t, handshake.Server, handshake.TypeHelloRetryRequest)
		if !arrived(t, retry) || hellos(t) != 1 {
			return 0, nil
		}
		observations := []Observation{{"the server asked for another key share with a HelloRetryRequest", retry}}
		if t.ClientHello != nil {
			observations = append(observations, helloAt(t, "the client sent key shares for "+list(t.ClientHello.KeyShares)))
		}
		if description, message, ok := alerted(t, handshake.Client); ok {
			return Likely, append(observations, alert(description, "the client", message))
		}
		if !left(t) {
			return 0, nil
		}
		return Likely, append(observations, leaving(t))
	},
}

// hellos counts the ClientHellos, complete or not.
func hellos(t *handshake.Transcript) (n int) {
	for _, m := range t.Messages {
		if m.Type == handshake.TypeClientHello {
			n++
		}
	}
	return n
}
