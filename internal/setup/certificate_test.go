package setup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/certs"
	"postern/internal/testcert"
)

// Of all certificates on a machine, those are used that senders can verify for the hostname:
// the one with the longest validity of each algorithm.
func TestCertificatesOfTheHostnameAreFound(t *testing.T) {
	root, ca := t.TempDir(), testcert.NewCA(t)
	put := func(cert, key string, o testcert.Options) certs.Pair {
		t.Helper()
		pair := testcert.New(t, o)
		for path, from := range map[string]string{cert: pair.CertFile, key: pair.KeyFile} {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(from, path); err != nil {
				t.Fatal(err)
			}
		}
		return certs.Pair{CertFile: filepath.Join(root, cert), KeyFile: filepath.Join(root, key)}
	}
	mx, soon, later := []string{"mx.example.org"}, time.Now().AddDate(0, 1, 0), time.Now().AddDate(0, 2, 0)
	const live, lego, caddy = "etc/letsencrypt/live/", "var/lib/lego/certificates/", "var/lib/caddy/.local/share/caddy/certificates/acme/"
	put(live+"old/fullchain.pem", live+"old/privkey.pem", testcert.Options{Names: mx, CA: ca, NotAfter: time.Now().AddDate(0, 0, -1)})
	put(live+"www/fullchain.pem", live+"www/privkey.pem", testcert.Options{Names: []string{"www.example.org"}, CA: ca, NotAfter: later})
	put(live+"own/fullchain.pem", live+"own/privkey.pem", testcert.Options{Names: mx, NotAfter: later})
	put(live+"mx/fullchain.pem", live+"mx/privkey.pem", testcert.Options{Names: mx, CA: ca, NotAfter: soon})
	ecdsa := put(caddy+"mx/mx.crt", caddy+"mx/mx.key", testcert.Options{Names: []string{"*.example.org"}, CA: ca, NotAfter: later})
	rsa := put(lego+"mx.crt", lego+"mx.key", testcert.Options{Names: mx, RSA: true, CA: ca, NotAfter: soon})
	put(lego+"mx.issuer.crt", lego+"mx.issuer.key", testcert.Options{Names: mx, CA: ca, NotAfter: later})

	found := (&Machine{Hostname: "mx.example.org"}).findCertificates(root)
	if len(found) != 2 || found[0].pair != ecdsa || found[0].by != "Caddy" || found[1].pair != rsa || found[1].by != "lego" {
		t.Errorf("found %v", found)
	}
	if copied := found[1].copied(); copied.KeyFile != "/etc/postern/mx-rsa.key" {
		t.Errorf("copied to %v", copied)
	}
}

// Postern runs as a user of its own: a file has to be open to all users, and its folders too.
func TestOpenFilesAreThoseThatEveryUserCanRead(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "open")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cert.pem")
	for _, tt := range []struct {
		folder, file os.FileMode
		want         bool
	}{{0o755, 0o644, true}, {0o711, 0o644, true}, {0o700, 0o644, false}, {0o755, 0o640, false}} {
		if err := os.WriteFile(path, nil, tt.file); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.file); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, tt.folder); err != nil {
			t.Fatal(err)
		}
		if got := open(path); got != tt.want {
			t.Errorf("folder %o, file %o: %v", tt.folder, tt.file, got)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if open(filepath.Join(dir, "missing")) {
		t.Error("a missing file is open")
	}
}

func TestNamesThatOnlyTheMachineKnowsAreNoDomains(t *testing.T) {
	got := domainNames([]string{"example.org", "localhost", "localhost.localdomain", "localhost.example.org", "EXAMPLE.ORG.", "vm", "bücher.example", "a_b.example"})
	if want := "example.org xn--bcher-kva.example"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}
