package probe

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/handshake"
	"postern/interop"
)

// checkCertificate reports whether a sender that verifies certificates, for MTA-STS or by its
// own configuration, accepts the server's. Other senders accept any.
func checkCertificate(p *addressProbe) []Finding {
	if p.first.TLS == nil || len(p.first.TLS.PeerCertificates) == 0 {
		return nil
	}
	chain := p.first.TLS.PeerCertificates
	leaf := chain[0]
	f := Finding{ID: "certificate", Severity: Warning, Transcript: p.first.Transcript, Evidence: []string{describeCertificate(leaf)}}
	err := verify(chain, p.host, p.roots, p.now)
	switch {
	case err == nil && expiresSoon(leaf, p.now):
		f.Title = "The certificate expires soon"
	case err == nil:
		return []Finding{okFinding(f.ID, "The certificate verifies", f.Evidence...)}
	default:
		fault, _ := CertificateFaultOf(err, p.host)
		f.ID, f.Title = fault.ID, fault.Title
		f.Evidence = append(f.Evidence, errorText(err))
	}
	known, _ := interop.Find("certificate-refused")
	f.Case, f.Advice, f.Sources = known, p.certificateAdvice(known), sourceURLs(known)
	return []Finding{f}
}

// expiresSoon reports whether a renewal is overdue. ACME clients renew when a third of the
// lifetime is left, 30 days of 90; half of that is late.
func expiresSoon(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/6
}

// certificateAdvice also has advice for software that the case has none for.
func (p *addressProbe) certificateAdvice(known *interop.Case) []interop.Advice {
	if advice := p.software.adviceOn(known); len(advice) > 0 {
		return advice
	}
	return forAll("Install a valid certificate for the host's name, complete with its intermediates, and reload the server after each renewal.")
}

func verify(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) error {
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: intermediates, CurrentTime: now})
	return err
}

// A CertificateFault is why a client that verifies certificates rejects one.
type CertificateFault struct {
	ID     string // of the finding
	Title  string
	Remedy string
}

// CertificateFaultOf returns the fault that an error of crypto/x509 means, also one that
// crypto/tls has wrapped, for a host. For other errors it returns that the certificate does
// not verify, and ok is false.
func CertificateFaultOf(err error, host string) (fault CertificateFault, ok bool) {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return CertificateFault{"wrong-name", "The certificate does not match the host name", "install a certificate for " + host}, true
	case errors.As(err, &authority):
		return CertificateFault{"untrusted", "No trusted authority issued the certificate: it is self-signed, or its intermediates are missing",
			"install a certificate of a public authority, with its intermediates"}, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return CertificateFault{"expired", "The certificate has expired or is not valid yet", "renew its certificate"}, true
	}
	return CertificateFault{"certificate", "The certificate does not verify", "install a certificate that verifies, with its intermediates"}, errors.As(err, &invalid)
}

// describeCertificate returns names, key, issuer and expiry of a certificate.
func describeCertificate(c *x509.Certificate) string {
	key := c.PublicKeyAlgorithm.String()
	switch public := c.PublicKey.(type) {
	case *rsa.PublicKey:
		key = fmt.Sprintf("RSA %d", public.N.BitLen())
	case *ecdsa.PublicKey:
		key = "ECDSA " + public.Curve.Params().Name
	}
	var names []string
	for _, name := range c.DNSNames[:min(len(c.DNSNames), 5)] {
		names = append(names, strconv.QuoteToASCII(name))
	}
	for _, ip := range c.IPAddresses[:min(len(c.IPAddresses), 5)] {
		names = append(names, ip.String())
	}
	return fmt.Sprintf("for %s, %s key, issued by %+q, valid until %s",
		cmp.Or(strings.Join(names, ", "), "no name"), key, c.Issuer.CommonName, c.NotAfter.UTC().Format(time.DateOnly))
}

// maxChainSize is the largest chain of certificates, in bytes, that is not reported: common
// ones have 2 to 5 KiB. Clients have different limits: GnuTLS before 3.5.5 accepts messages
// of 48 KiB, rustls of 64, Schannel what its registry says.
const maxChainSize = 16 << 10

// checkChainSize reports a chain of certificates that some clients reject for its size.
func checkChainSize(p *addressProbe) []Finding {
	if p.first.TLS == nil {
		return nil
	}
	size := 0
	for _, c := range p.first.TLS.PeerCertificates {
		size += len(c.Raw)
	}
	if size <= maxChainSize {
		return nil
	}
	return []Finding{{
		ID: "certificate-chain", Severity: Warning, Transcript: p.first.Transcript,
		Title:    "The certificate chain is larger than some clients accept",
		Evidence: []string{fmt.Sprintf("%d certificates, %d bytes in total", len(p.first.TLS.PeerCertificates), size)},
		Advice:   forAll("Send only the certificate and its intermediates: one file, as the authority provides it, without the root and without certificates for other names."),
		Sources:  []string{"https://github.com/dotnet/docs/issues/55739", "https://manpages.debian.org/gnutls_handshake_set_max_packet_length.3", "https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2"},
	}}
}

// checkClientCertificate reports whether the server requests a client certificate.
func checkClientCertificate(p *addressProbe) []Finding {
	if !p.first.Completed || p.first.Transcript == nil {
		return nil
	}
	isRequest := func(m handshake.Message) bool { return m.Type == handshake.TypeCertificateRequest }
	if !slices.ContainsFunc(p.first.Transcript.Messages, isRequest) {
		return []Finding{okFinding("client-certificate", "No client certificate is requested")}
	}
	known, _ := interop.Find("client-certificate-asked")
	return []Finding{{
		ID: "client-certificate", Severity: Notice, Case: known, Transcript: p.first.Transcript,
		Title:    "The server requests a client certificate from senders",
		Evidence: []string{"it sends a CertificateRequest"},
		Advice:   p.software.adviceOn(known), Sources: sourceURLs(known),
	}}
}
