package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testzone"
)

// Two hosts have one certificate for their common name: one of them ordered it. The CA asks only the
// first host, which answers for both. Without NATS they go on with what they have.
func TestHostsOfAFleetOrderCertificatesOnce(t *testing.T) {
	const ownHost = "mx1.example.test"
	ca, port := testcert.NewCA(t), freePort(t)
	zone := testzone.Start(t, testzone.Zone{Name: ".", Records: []string{certifiedHost + ". A 127.0.0.1", ownHost + ". A 127.0.0.1"}})
	pebble := testpeer.StartPebble(t, ca, testpeer.PebbleOptions{Port: port, Resolver: zone.Addr, Life: 90 * 24 * 3600})
	f := &fleet{t: t, nats: testpeer.StartNATS(t, 1), secret: filepath.Join(t.TempDir(), "secret")}
	if err := os.WriteFile(f.secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	dirs := []string{t.TempDir(), t.TempDir()}
	run := func(host int, hosts string) *postern {
		t.Helper()
		config := fmt.Sprintf(`hostname = "%s"
domains = ["localhost"]
listen = ["127.0.0.1:0"]
data = "data"
web.listen = ["127.0.0.%d:%s"]
acme = { directory = "%s", ca = "%s", hosts = [%s] }
fleet = { servers = ["%s"], name = "mx%d", secret-file = "%s" }
`, certifiedHost, host+1, port, pebble.Directory, ca.File, hosts, f.nats[0].URL, host, f.secret)
		if err := os.WriteFile(filepath.Join(dirs[host], "postern.toml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		p := launch(t, dirs[host], "serve", "--config", "postern.toml")
		p.addr = p.awaitAddress()
		return p
	}
	both := fmt.Sprintf("%q, %q", certifiedHost, ownHost)
	first, second := run(0, fmt.Sprintf("%q", certifiedHost)), run(1, both)
	for _, p := range []*postern{first, second} {
		p.await(0, `msg="using certificate"`, "names=["+certifiedHost+"]")
	}
	second.await(0, `msg="using certificate"`, "names=["+ownHost+"]")
	common := servedCertificate(t, first)
	if err := common.VerifyHostname(certifiedHost); err != nil || !servedCertificate(t, second).Equal(common) {
		t.Errorf("the hosts have different certificates, or one without the name: %v", err)
	}
	if keys, err := filepath.Glob(filepath.Join(dirs[0], "data/acme/certificates/*/"+ownHost+"/*")); err != nil || len(keys) > 0 {
		t.Errorf("the first host has the key of a name that is not its own: %v, %v", keys, err)
	}
	for _, secret := range []string{"PRIVATE KEY", certifiedHost} {
		if strings.Contains(f.stored(), secret) {
			t.Errorf("NATS has stored %q in plaintext", secret)
		}
	}

	f.nats[0].Kill()
	pebble.Stop()
	second.terminate()
	second = run(1, both)
	second.await(0, `msg="fleet unreachable`)
	if !servedCertificate(t, second).Equal(common) {
		t.Error("without NATS, after a restart, the certificate is another")
	}
}
