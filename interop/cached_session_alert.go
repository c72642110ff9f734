package interop

import "postern/handshake"

var cachedSessionAlert = Case{
	ID:      "cached-session-alert",
	Title:   "Offers to resume a session and then sends an alert",
	Clients: "clients that resume from a cache: seen with Postfix on OpenSSL 3, and with OpenSSL 1.0.2 in parallel",
	Since:   "2021",
	Status:  Reported,
	Sources: []Source{
		{"https://github.com/openssl/openssl/issues/18690", "2022-07", "The alert unexpected_message on resumed sessions, with Postfix on OpenSSL 3 and a session cache."},
		{"https://github.com/golang/go/issues/68302", "2024", "Clients on OpenSSL 1.0.2 fail with a Go server when they resume in parallel."},
		{"https://github.com/aws/s2n-tls/issues/2912", "2021", "Clients of another server that fail only when they resume."},
	},
	Explanation: "The client offered a session of an earlier connection, the server answered, and the client ended the handshake with an alert. " +
		"Its first connections work. Only those with a session from its cache fail, so the fault seems to come and go. " +
		"The client's cache, or what it keeps there, is at fault.",
	Remedy: Remedy{
		Postern: "A full handshake works for this sender. Pin its network to a mode without resumption: postern senders pin NETWORK no-ticket --why cached-session-alert.",
		Sender:  "Turn off the cache of TLS sessions in your client, and update its TLS library. In Postfix, leave smtp_tls_session_cache_database empty.",
		OtherSoftware: []Advice{
			{"Postfix", "Leave smtpd_tls_session_cache_database empty, its default; in the client, smtp_tls_session_cache_database."},
			{"Go programs", "Let sessionticket.Gate.Choose return NoTicket for that sender, or set tls.Config.SessionTicketsDisabled."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		complaint, ok := complained(t)
		if !ok || t.ClientHello == nil || !offersSession(t.ClientHello) || t.ServerHello == nil {
			return 0, nil
		}
		confidence, what := Possible, "the client offered a session, and the server answered with a full handshake"
		if t.ServerHello.Resumed {
			confidence, what = Likely, "the client offered a session, and the server resumed it"
		}
		return confidence, []Observation{helloAt(t, what), complaint}
	},
}
