package interop

import "postern/handshake"

var cachedSessionAlert = Case{
	ID:      "cached-session-alert",
	Title:   "Offers to resume a session and then answers with an alert",
	Clients: "clients that resume from a cache: seen with Postfix on OpenSSL 3, and with OpenSSL 1.0.2 in parallel",
	Since:   "2021",
	Status:  Reported,
	Sources: []Source{
		{"https://github.com/openssl/openssl/issues/18690", "2022-07", "The alert unexpected_message on resumed sessions, with Postfix on OpenSSL 3 and a session cache."},
		{"https://github.com/golang/go/issues/68302", "2024", "Clients on OpenSSL 1.0.2 fail at a Go server when they resume in parallel."},
		{"https://github.com/aws/s2n-tls/issues/2912", "2021", "Another server meets clients that fail only when they resume."},
	},
	Explanation: "The client offered a session of an earlier connection, the server went on with it, and the client ended the handshake with an alert. " +
		"Its first connections work; only those with a session from its cache fail, so it looks like a fault that comes and goes. " +
		"The cache of the client is at fault, or what it keeps in it.",
	Remedy: Remedy{
		Postern: "The sender gets in with a full handshake: mode = \"no-ticket\" ends resumption for everyone.",
		OtherSoftware: []Advice{
			{"Postfix", "Leave smtpd_tls_session_cache_database empty, as it is by default; in the client the same with smtp_tls_session_cache_database."},
			{"Go programs", "Let sessionticket.Gate.Choose return Never for that sender, or set tls.Config.SessionTicketsDisabled."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		complaint, ok := complained(t)
		if !ok || t.ClientHello == nil || !offersSession(t.ClientHello) || t.ServerHello == nil {
			return 0, nil
		}
		confidence, what := possible, "the client offered a session, and the server made a full handshake"
		if t.ServerHello.Resumed {
			confidence, what = likely, "the client offered a session, and the server resumed it"
		}
		return confidence, []Observation{helloAt(t, what), complaint}
	},
}
