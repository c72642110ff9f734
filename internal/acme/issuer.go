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

// checked is an authority whose certificates are looked at before they take the place
// of another.
type checked struct {
	*certmagic.ACMEIssuer
	sign func(context.Context, *x509.CertificateRequest) (*certmagic.IssuedCertificate, error)
}

func newChecked(issuer *certmagic.ACMEIssuer) *checked { return &checked{issuer, issuer.Issue} }

// Issue is called by certmagic. It refuses a certificate that no client could use.
func (c *checked) Issue(ctx context.Context, request *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	issued, err := c.sign(ctx, request)
	if err == nil {
		if err = examine(issued.Certificate, request, time.Now()); err != nil {
			err = fmt.Errorf("acme: the authority's certificate is not taken: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	return issued, nil
}

// examine tells what is wrong with the first certificate of a chain.
func examine(chain []byte, request *x509.CertificateRequest, now time.Time) error {
	block, _ := pem.Decode(chain)
	if block == nil || block.Type != "CERTIFICATE" {
		return errors.New("it is none")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !public.Equal(request.PublicKey):
		return errors.New("it is for another key")
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it is valid only from %v: check the clock of this machine", leaf.NotBefore.UTC())
	case !now.Before(leaf.NotAfter):
		return fmt.Errorf("it was valid until %v", leaf.NotAfter.UTC())
	}
	for _, host := range request.DNSNames {
		if err := leaf.VerifyHostname(host); err != nil {
			return err
		}
	}
	return nil
}
