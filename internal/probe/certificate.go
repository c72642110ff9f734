package probe

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"postern/handshake"
	"postern/interop"
)

// expiresSoon tells whether a renewal is overdue: ACME clients renew when a third of
// the life is left, which is 30 days of 90. Half of that is a warning.
func expiresSoon(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/6
}

// certificate tells whether a sender that verifies, for MTA-STS or a rule of its own,
// accepts the server's certificate. Others take any.
func certificate(e *exam) []Finding {
	if e.first.TLS == nil || len(e.first.TLS.PeerCertificates) == 0 {
		return nil
	}
	chain := e.first.TLS.PeerCertificates
	leaf := chain[0]
	f := Finding{ID: "certificate", Transcript: e.first.Transcript, Evidence: []string{about(leaf)}}
	err := verify(chain, e.host, e.roots, e.now)
	switch {
	case err == nil && expiresSoon(leaf, e.now):
		f.Severity, f.Title = Warning, "The certificate expires soon"
	case err == nil:
		return []Finding{fine(f.ID, "The certificate verifies", f.Evidence...)}
	default:
		f.ID, f.Title = complaint(err)
		f.Severity = Warning
		f.Evidence = append(f.Evidence, clean(err))
	}
	known, _ := interop.Find("certificate-refused")
	f.Case, f.Advice, f.Sources = known, e.certificateAdvice(known), sourcesOf(known)
	return []Finding{f}
}

// certificateAdvice has something for software that the case has nothing for.
func (e *exam) certificateAdvice(known *interop.Case) []interop.Advice {
	if advice := e.software.adviceOn(known); len(advice) > 0 {
		return advice
	}
	return everyone("Serve a certificate that is valid, complete with its intermediates, and has the host's name; load it anew after each renewal.")
}

func verify(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between, CurrentTime: now})
	return err
}

// complaint names what is wrong with a certificate.
func complaint(err error) (id, title string) {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "wrong-name", "The certificate does not have the name of the host"
	case errors.As(err, &authority):
		return "untrusted", "The certificate does not lead to an authority that senders know: it is self-signed, or its intermediates are missing"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "expired", "The certificate has expired or is not valid yet"
	}
	return "certificate", "The certificate does not verify"
}

// about is what a certificate says of itself.
func about(c *x509.Certificate) string {
	key := c.PublicKeyAlgorithm.String()
	switch public := c.PublicKey.(type) {
	case *rsa.PublicKey:
		key = fmt.Sprintf("RSA %d", public.N.BitLen())
	case *ecdsa.PublicKey:
		key = "ECDSA " + public.Curve.Params().Name
	}
	names := append([]string(nil), c.DNSNames[:min(len(c.DNSNames), 5)]...)
	for _, ip := range c.IPAddresses[:min(len(c.IPAddresses), 5)] {
		names = append(names, net.IP(ip).String())
	}
	return fmt.Sprintf("for %+q, %s key, issued by %+q, until %s", names, key, c.Issuer.CommonName, c.NotAfter.UTC().Format(time.DateOnly))
}

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
	for _, c := range e.first.TLS.PeerCertificates {
		size += len(c.Raw)
	}
	if size <= largeChain {
		return nil
	}
	return []Finding{{
		ID: "certificate-chain", Severity: Warning, Transcript: e.first.Transcript,
		Title:    "The server sends more certificates than some clients take",
		Evidence: []string{fmt.Sprintf("%d certificates of %d bytes together", len(e.first.TLS.PeerCertificates), size)},
		Advice:   everyone("Serve the certificate and its intermediates only: one file, as the authority gives it, without the root and without those of other names."),
		Sources:  []string{"https://github.com/dotnet/docs/issues/55739", "https://manpages.debian.org/gnutls_handshake_set_max_packet_length.3", "https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2"},
	}}
}

// clientCertificate tells whether the server asks its clients for a certificate.
func clientCertificate(e *exam) []Finding {
	if !e.first.Completed || e.first.Transcript == nil {
		return nil
	}
	asked := func(m handshake.Message) bool { return m.Type == handshake.TypeCertificateRequest }
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
