package probe

import (
	"slices"

	"postern/handshake"
	"postern/interop"
)

// clientCertificate tells whether the server asks its clients for a certificate.
func clientCertificate(e *exam) []Finding {
	if !e.first.In || e.first.Transcript == nil {
		return nil
	}
	asked := func(m handshake.Message) bool { return m.Type == handshake.CertificateRequest }
	if !slices.ContainsFunc(e.first.Transcript.Messages, asked) {
		return []Finding{fine("client-certificate", "No client certificate is asked for")}
	}
	known, _ := interop.Find("client-certificate-asked")
	return []Finding{{
		ID: "client-certificate", Severity: Notice, Case: known, Transcript: e.first.Transcript,
		Title:    "The server asks senders for a client certificate",
		Evidence: []string{"a CertificateRequest came"},
		Advice:   e.software.adviceOn(known), Sources: sourcesOf(known),
	}}
}
