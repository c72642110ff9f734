package interop

import "postern/handshake"

var sha1SignaturesOnly = Case{
	ID:      "sha1-signatures-only",
	Title:   "Accepts signatures over SHA-1 only",
	Clients: "TLS 1.2 clients from before 2015, and scanners that test SHA-1",
	Since:   "2025-08",
	Status:  Reported,
	Sources: []Source{
		{"https://github.com/golang/go/issues/72883", "2025-03", "crypto/tls refuses SHA-1 signatures in TLS 1.2 handshakes from Go 1.25 on, following RFC 9155."},
		{"https://github.com/mjl-/mox/issues/409", "2026-05", "Operators of mox saw it from a scanner; so does #430."},
	},
	Explanation: "The client speaks TLS 1.2 and names only signature algorithms with SHA-1, or none at all, which means the same. " +
		"RFC 9155 tells servers not to use them, and crypto/tls stopped in Go 1.25. " +
		"Such clients are old. Scanners that test SHA-1 look the same.",
	Remedy: Remedy{
		Postern: "Tell the sender's administrator. Until it is fixed, start Postern with GODEBUG=tlssha1=1.",
		Sender:  "Update the TLS library of the sending server, or let it offer signatures over SHA-256: RFC 9155 deprecates SHA-1.",
		OtherSoftware: []Advice{
			{"Postfix", "With OpenSSL 3, set @SECLEVEL=0 in tls_medium_cipherlist."},
			{"Go programs", "Set GODEBUG=tlssha1=1."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ended, ok := refused(t, lacksSignature, handshakeFailure)
		if !ok {
			return 0, nil
		}
		offered := list(t.ClientHello.Signatures)
		return AlmostCertain, []Observation{helloAt(t, "the client's signature algorithms are "+offered), ended}
	},
}
