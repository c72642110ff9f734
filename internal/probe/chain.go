package probe

import "fmt"

// largeChain is what a chain of certificates should not exceed, in bytes: usual ones
// have 2 to 5 KiB. Clients bound it each in their way: GnuTLS before 3.5.5 took messages
// of 48 KiB, rustls takes 64, Schannel what its registry says.
const largeChain = 16 << 10

// chain tells of a chain of certificates that some clients do not take for its size.
func chain(e *exam) []Finding {
	if e.first.TLS == nil {
		return nil
	}
	size := 0
	for _, c := range e.first.TLS.Certificates {
		size += len(c.Raw)
	}
	if size <= largeChain {
		return nil
	}
	return []Finding{{
		ID: "certificate-chain", Severity: Warning, Transcript: e.first.Transcript,
		Title:    "The server sends more certificates than some clients take",
		Evidence: []string{fmt.Sprintf("%d certificates of %d bytes together", len(e.first.TLS.Certificates), size)},
		Advice:   everyone("Serve the certificate and its intermediates only: one file, as the authority gives it, without the root and without those of other names."),
		Sources:  []string{"https://github.com/dotnet/docs/issues/55739", "https://manpages.debian.org/gnutls_handshake_set_max_packet_length.3", "https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2"},
	}}
}
