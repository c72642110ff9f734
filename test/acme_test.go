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

// certifiedHost is what the authority is asked for.
const certifiedHost = "mx.example.test"

// An acmeHouse is a Postern whose certificate is an authority's. The authority refuses
// nonces and takes its time.
type acmeHouse struct {
	t      *testing.T
	dir    string
	pebble *testpeer.Pebble
}

// buildACMEHouse has challenges answered where the key web names: listen or listen-plain.
func buildACMEHouse(t *testing.T, web, more string) *acmeHouse {
	t.Helper()
	ca, port := testcert.NewCA(t), freePort(t)
	zone := testzone.Start(t, testzone.Zone{Name: ".", Records: []string{certifiedHost + ". A 127.0.0.1"}})
	h := &acmeHouse{t, t.TempDir(), testpeer.StartPebble(t, ca, testpeer.PebbleOptions{Port: port, Resolver: zone.Addr, Life: 90 * 24 * 3600})}
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

// freePort is a port for the authority to know before anybody listens there.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

func (h *acmeHouse) open() *postern {
	h.t.Helper()
	p := launch(h.t, h.dir, "serve", "--config", "postern.toml")
	p.addr = p.awaitAddress()
	return p
}

// shown is the certificate that a sender gets.
func shown(t *testing.T, p *postern) *x509.Certificate {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, "", &tls.Config{ServerName: certifiedHost, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.TLS().PeerCertificates[0]
}

// age puts a certificate for the same key in the place of the one there is, with an hour
// left of 90 days.
func (h *acmeHouse) age() *x509.Certificate {
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
	cert, err := certs.Load(certs.Pair{CertFile: whole, KeyFile: whole}, time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	return cert.Leaf
}

func sameKey(a, b *x509.Certificate) bool {
	return a.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(b.PublicKey)
}

// Until the authority has signed, and where it is gone, mail comes in all the same.
func TestMailComesInWithAnAuthoritysCertificateAndWithoutTheAuthority(t *testing.T) {
	for name, tt := range map[string]struct {
		web, more string
		keyStays  bool
	}{
		"asked over TLS, with a new key each time": {web: "listen"},
		"asked over HTTP, with one key":            {"listen-plain", ", new-key = false", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := buildACMEHouse(t, tt.web, tt.more)
			p := h.open()
			p.await(0, `msg="using certificate"`, "names=["+certifiedHost+"]")
			first := shown(t, p)
			if err := first.VerifyHostname(certifiedHost); err != nil || first.Issuer.String() == first.Subject.String() {
				t.Errorf("the certificate is of %v for %v", first.Issuer, first.DNSNames)
			}
			p.terminate()

			aged := h.age()
			p = h.open()
			p.await(0, `msg="using certificate"`, "names=["+certifiedHost+"]")
			second := shown(t, p)
			if second.Equal(aged) || !second.NotAfter.After(aged.NotAfter) {
				t.Errorf("a certificate until %v was not renewed", second.NotAfter)
			}
			if sameKey(first, second) != tt.keyStays {
				t.Errorf("the key stays: %v, want %v", !tt.keyStays, tt.keyStays)
			}
			p.terminate()

			aged = h.age()
			h.pebble.Stop()
			p = h.open()
			p.await(0, "certificate not renewed, retrying", "expires="+aged.NotAfter.UTC().Format(time.RFC3339)[:19], "connection refused")
			if d := testpeer.SendSwaks(t, p.addr, testpeer.SwaksOptions{}); !d.Delivered {
				t.Errorf("not delivered: %s", d.Output)
			}
			if last := shown(t, p); !last.Equal(aged) {
				t.Errorf("the certificate is another, until %v", last.NotAfter)
			}
		})
	}
}
