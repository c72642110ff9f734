package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/certmagic"
)

// A verifyingIssuer verifies the authority's certificates before they replace others.
type verifyingIssuer struct {
	*certmagic.ACMEIssuer
	issue func(context.Context, *x509.CertificateRequest) (*certmagic.IssuedCertificate, error)
}

// Issue is called by certmagic. It returns an error for a certificate that no client could
// use.
func (v *verifyingIssuer) Issue(ctx context.Context, request *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	issued, err := v.issue(ctx, request)
	if err == nil {
		if err = verify(issued.Certificate, request, time.Now()); err != nil {
			err = fmt.Errorf("acme: unusable certificate from the authority: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	return issued, nil
}

// verify checks the first certificate of a chain.
func verify(chain []byte, request *x509.CertificateRequest, now time.Time) error {
	block, _ := pem.Decode(chain)
	if block == nil || block.Type != "CERTIFICATE" {
		return errors.New("not a PEM certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !public.Equal(request.PublicKey):
		return errors.New("certificate is for another key")
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("certificate is not valid before %v: check the clock of this machine", leaf.NotBefore.UTC())
	case !now.Before(leaf.NotAfter):
		return fmt.Errorf("certificate expired on %v: check the clock of this machine", leaf.NotAfter.UTC())
	}
	for _, host := range request.DNSNames {
		if err := leaf.VerifyHostname(host); err != nil {
			return err
		}
	}
	return nil
}
