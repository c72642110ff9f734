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

// An acmeFleet is a fleet of two hosts with certificates from an ACME CA.
type acmeFleet struct {
	*fleet
	port      string // of the web listeners, at 127.0.0.1 and 127.0.0.2
	directory string
	dirs      []string
}

// run runs a host with certificates for some names. It verifies the CA's own server by the roots in ca.
func (f *acmeFleet) run(host int, names, ca string) *postern {
	f.t.Helper()
	config := fmt.Sprintf(`hostname = "%s"
domains = ["localhost"]
listen = ["127.0.0.1:0"]
data = "data"
web.listen = ["127.0.0.%d:%s"]
acme = { directory = "%s", ca = "%s", hosts = [%s] }
fleet = { servers = ["%s"], name = "mx%d", secret-file = "%s" }
`, certifiedHost, host+1, f.port, f.directory, ca, names, f.nats[0].URL, host, f.secret)
	if err := os.WriteFile(filepath.Join(f.dirs[host], "postern.toml"), []byte(config), 0o600); err != nil {
		f.t.Fatal(err)
	}
	p := launch(f.t, f.dirs[host], "serve", "--config", "postern.toml")
	p.addr = p.awaitAddress()
	return p
}

// Two hosts have one certificate for their common name: one of them ordered it. The CA asks only the
// first host, which answers for both. Without NATS they go on with what they have.
func TestHostsOfAFleetOrderCertificatesOnce(t *testing.T) {
	const ownHost = "mx1.example.test"
	ca, port := testcert.NewCA(t), freePort(t)
	zone := testzone.Start(t, testzone.Zone{Name: ".", Records: []string{certifiedHost + ". A 127.0.0.1", ownHost + ". A 127.0.0.1"}})
	pebble := testpeer.StartPebble(t, ca, testpeer.PebbleOptions{Port: port, Resolver: zone.Addr, Life: 90 * 24 * 3600})
	f := startFleet(t, 1, 0)
	h := &acmeFleet{f, port, pebble.Directory, []string{t.TempDir(), t.TempDir()}}
	run := func(host int, hosts string) *postern { return h.run(host, hosts, ca.File) }
	both := fmt.Sprintf("%q, %q", certifiedHost, ownHost)
	first := run(0, fmt.Sprintf("%q", certifiedHost))
	first.await(0, `msg="fleet connected"`) // it is asked for challenges
	second := run(1, both)
	for _, p := range []*postern{first, second} {
		p.await(0, `msg="using certificate"`, "names=["+certifiedHost+"]")
	}
	second.await(0, `msg="using certificate"`, "names=["+ownHost+"]")
	for _, p := range []*postern{first, second} {
		if n := p.log.count("cannot obtain certificate"); n > 0 {
			t.Errorf("%d orders failed", n)
		}
	}
	common := servedCertificate(t, first)
	if err := common.VerifyHostname(certifiedHost); err != nil || !servedCertificate(t, second).Equal(common) {
		t.Errorf("the hosts have different certificates, or one without the name: %v", err)
	}
	if keys, err := filepath.Glob(filepath.Join(h.dirs[0], "data/acme/certificates/*/"+ownHost+"/*")); err != nil || len(keys) > 0 {
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

// A host that dies while it orders, here in vain since it does not trust the CA's server, keeps the
// others waiting for half a minute.
func TestAnotherHostOrdersWhenTheFirstDies(t *testing.T) {
	if os.Getenv("POSTERN_LONG") != "1" {
		t.Skip("waits for half a minute: make long")
	}
	ca, port := testcert.NewCA(t), freePort(t)
	zone := testzone.Start(t, testzone.Zone{Name: ".", Records: []string{certifiedHost + ". A 127.0.0.2"}})
	pebble := testpeer.StartPebble(t, ca, testpeer.PebbleOptions{Port: port, Resolver: zone.Addr, Life: 90 * 24 * 3600})
	f := &acmeFleet{startFleet(t, 1, 0), port, pebble.Directory, []string{t.TempDir(), t.TempDir()}}
	name := fmt.Sprintf("%q", certifiedHost)
	first := f.run(0, name, testcert.NewCA(t).File)
	first.await(0, "cannot obtain certificate; retrying", "unknown authority")
	second := f.run(1, name, ca.File)
	second.await(0, `msg="fleet connected"`)
	first.kill()
	second.await(0, `msg="using certificate"`, "names=["+certifiedHost+"]")
	if n := second.log.count("cannot obtain certificate"); n > 0 {
		t.Errorf("the second host failed %d times", n)
	}
}
