package test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern/internal/certs"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
	"postern/internal/testzone"
)

// certifiedHost is the name in the certificate.
const certifiedHost = "mx.example.test"

// An acmeServer is a Postern with a certificate from an ACME CA. The CA rejects some
// nonces and is slow.
type acmeServer struct {
	t      *testing.T
	dir    string
	pebble *testpeer.Pebble
}

// newACMEServer configures challenges on the listener that web names: listen or
// listen-plain.
func newACMEServer(t *testing.T, web, more string) *acmeServer {
	t.Helper()
	ca, port := testcert.NewCA(t), freePort(t)
	zone := testzone.Start(t, testzone.Zone{Name: ".", Records: []string{certifiedHost + ". A 127.0.0.1"}})
	h := &acmeServer{t, t.TempDir(), testpeer.StartPebble(t, ca, testpeer.PebbleOptions{Port: port, Resolver: zone.Addr, Life: 90 * 24 * 3600})}
	config := fmt.Sprintf(`hostname = "%s"
domains = ["localhost"]
listen = ["127.0.0.1:0"]
data = "data"
web.%s = ["127.0.0.1:%s"]
acme = { directory = "%s", ca = "%s"%s }
`, certifiedHost, web, port, h.pebble.Directory, ca.File, more)
	if err := os.WriteFile(filepath.Join(h.dir, "postern.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// freePort returns a port that others are told before Postern listens there.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(testpeer.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (h *acmeServer) start() *postern {
	h.t.Helper()
	p := launch(h.t, h.dir, "serve", "--config", "postern.toml")
	p.addr = p.awaitAddress()
	return p
}

// servedCertificate returns the certificate that a sender gets.
func servedCertificate(t *testing.T, p *postern) *x509.Certificate {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, "", &tls.Config{ServerName: certifiedHost, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.TLS().PeerCertificates[0]
}

// ageCertificate replaces the certificate by one for the same key with an hour left of 90
// days.
func (h *acmeServer) ageCertificate() *x509.Certificate {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, "data/acme/certificates/*", certifiedHost, certifiedHost+".crt"))
	if err != nil || len(files) != 1 {
		h.t.Fatalf("%v, %v", files, err)
	}
	whole := filepath.Join(h.dir, "data/acme", certifiedHost+".pem")
	pair, err := tls.LoadX509KeyPair(whole, whole)
	if err != nil {
		h.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{certifiedHost},
		NotBefore: time.Now().Add(-90 * 24 * time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pair.Leaf.PublicKey, pair.PrivateKey)
	if err != nil {
		h.t.Fatal(err)
	}
	aged := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		h.t.Fatal(err)
	}
	both := append(aged, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	for name, content := range map[string][]byte{files[0]: aged, whole: both} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	cert, err := certs.Load(certs.Pair{CertFile: whole, KeyFile: whole})
	if err != nil {
		h.t.Fatal(err)
	}
	return cert.Leaf
}

func sameKey(a, b *x509.Certificate) bool {
	return a.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(b.PublicKey)
}

// Mail is accepted until the CA has issued the certificate, and also while the CA is down.
func TestACMECertificateIsObtainedRenewedAndKeptWithoutItsCA(t *testing.T) {
	for name, tt := range map[string]struct {
		web, more string
		keyStays  bool
	}{
		"asked over TLS, with a new key each time": {web: "listen"},
		"asked over HTTP, with one key":            {"listen-plain", ", new-key = false", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newACMEServer(t, tt.web, tt.more)
			p := h.start()
			p.await(0, `msg="using certificate"`, "names=["+certifiedHost+"]")
			first := servedCertificate(t, p)
			if err := first.VerifyHostname(certifiedHost); err != nil || first.Issuer.String() == first.Subject.String() {
				t.Errorf("the certificate is of %v for %v", first.Issuer, first.DNSNames)
			}
			p.terminate()

			aged := h.ageCertificate()
			p = h.start()
			p.await(0, `msg="using certificate"`, "names=["+certifiedHost+"]")
			second := servedCertificate(t, p)
			if second.Equal(aged) || !second.NotAfter.After(aged.NotAfter) {
				t.Errorf("a certificate until %v was not renewed", second.NotAfter)
			}
			if sameKey(first, second) != tt.keyStays {
				t.Errorf("the key stays: %v, want %v", !tt.keyStays, tt.keyStays)
			}
			p.terminate()

			aged = h.ageCertificate()
			h.pebble.Stop()
			p = h.start()
			p.await(0, "cannot renew certificate; retrying", "expires="+aged.NotAfter.UTC().Format(time.RFC3339)[:19], "connection refused")
			if d := testpeer.SendSwaks(t, p.addr, testpeer.SwaksOptions{}); !d.Delivered {
				t.Errorf("not delivered: %s", d.Output)
			}
			if last := servedCertificate(t, p); !last.Equal(aged) {
				t.Errorf("the certificate is another, until %v", last.NotAfter)
			}
		})
	}
}
