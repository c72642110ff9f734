package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"testing"
	"time"
)

// In the container image there are no certificates of authorities, and those of next hops, policy
// hosts and ACME are verified all the same. The test runs itself as there: the authority of Let's
// Encrypt is known.
func TestPublicAuthoritiesAreKnownWithoutThoseOfTheSystem(t *testing.T) {
	const inside = "POSTERN_WITHOUT_AUTHORITIES"
	if os.Getenv(inside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), inside+"=1", "SSL_CERT_FILE=/nonexistent", "SSL_CERT_DIR=/nonexistent")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		return
	}
	text, err := os.ReadFile("testdata/isrg-root-x1.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	during := authority.NotBefore.Add(24 * time.Hour)
	if _, err := authority.Verify(x509.VerifyOptions{CurrentTime: during}); err != nil {
		t.Error(err)
	}
}
