package interop

import "postern/handshake"

var helloRetryRefused = Case{
	ID:      "hello-retry-refused",
	Title:   "Does not survive a HelloRetryRequest",
	Clients: "not known",
	Since:   "2023-07",
	Status:  Suspected,
	Sources: []Source{
		{"https://github.com/rustls/rustls/issues/1373", "2023-07", "A client that brought a key for the wrong group did not get in; what it made of the retry is not shown."},
	},
	Explanation: "The client brought keys for groups that the server does not use, the server asked for another with a HelloRetryRequest (RFC 8446, Section 4.1.4), and the client left. " +
		"Every TLS 1.3 client must answer one, and few meet one, so an implementation or a device on the way can lack it unnoticed.",
	Remedy: Remedy{
		Postern: "Postern lets crypto/tls take any of its groups, so it retries only where there is no other way. At its last attempt such a sender is offered TLS 1.2, which has no retry.",
		OtherSoftware: []Advice{
			{"Postfix", "Add the group of the client's key to tls_eecdh_auto_curves; the hello of the record names it."},
			{"Go programs", "Leave tls.Config.CurvePreferences nil, or add that group to it."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		retry := index(t, handshake.Server, handshake.TypeHelloRetryRequest)
		if retry < 0 || hellos(t) != 1 {
			return 0, nil
		}
		observations := []Observation{{"the server asked for another key with a HelloRetryRequest", retry}}
		if t.ClientHello != nil {
			observations = append(observations, helloAt(t, "the client brought keys for "+list(t.ClientHello.KeyShares)))
		}
		if description, message, ok := alerted(t, handshake.Client); ok {
			return likely, append(observations, alert(description, "the client", message))
		}
		if !left(t) {
			return 0, nil
		}
		return likely, append(observations, leaving(t))
	},
}

// hellos counts the ClientHellos, whole or not.
func hellos(t *handshake.Transcript) (n int) {
	for _, m := range t.Messages {
		if m.Type == handshake.TypeClientHello {
			n++
		}
	}
	return n
}
