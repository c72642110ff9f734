package test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testzone"
)

// certifiedHost is what the authority is asked for.
const certifiedHost = "mx.example.test"

// webPort is a port that is free, for the authority has to know it first.
func webPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// servedAt is the certificate that a client of the web listener gets.
func servedAt(t *testing.T, port string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{ServerName: certifiedHost, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// An authority that refuses nonces and takes its time signs all the same; when it has
// gone, mail comes in with what it signed.
func TestMailComesInWithAnAuthoritysCertificateAndWithoutTheAuthority(t *testing.T) {
	ca, port := testcert.NewCA(t), webPort(t)
	zone := testzone.Start(t, testzone.Zone{Name: ".", Records: []string{certifiedHost + ". A 127.0.0.1"}})
	pebble := testpeer.StartPebble(t, ca, testpeer.PebbleOptions{TLSPort: port, Resolver: zone.Addr, Life: 90 * 24 * 3600})
	dir := t.TempDir()
	config := fmt.Sprintf(`hostname = "%s"
domains = ["localhost"]
listen = ["127.0.0.1:0"]
data = "data"
web.listen = ["127.0.0.1:%s"]
acme = { directory = "%s", ca = "%s", new-key = false }
`, certifiedHost, port, pebble.Directory, ca.File)
	if err := os.WriteFile(filepath.Join(dir, "postern.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, dir, "serve", "--config", "postern.toml")
	p.addr = p.awaitAddress()
	p.await(0, `msg="certificate in use"`, "names=["+certifiedHost+"]")
	cert := servedAt(t, port)
	if err := cert.VerifyHostname(certifiedHost); err != nil || cert.Issuer.String() == cert.Subject.String() {
		t.Errorf("the certificate is of %v for %v", cert.Issuer, cert.DNSNames)
	}
	pebble.Stop()
	if d := testpeer.SendSwaks(t, p.addr, testpeer.SwaksOptions{}); !d.Delivered {
		t.Errorf("not delivered: %s", d.Output)
	}
	if again := servedAt(t, port); !again.Equal(cert) {
		t.Error("the certificate has changed")
	}
}
