package testpeer

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"

	"postern/internal/testcert"
)

// PebbleOptions configure how a Pebble validates.
type PebbleOptions struct {
	Port     string // that it connects to, whatever the challenge
	Resolver string // host:port of a DNS server
	Life     int    // of its certificates, in seconds

	// NoRetryAfter is for clients that know no dates in Retry-After (RFC 9110, Section 10.2.3), such as
	// Caddy 2.6: every other one is a date.
	NoRetryAfter bool
}

// A Pebble is an ACME server for tests. It rejects one nonce in five and takes up to two
// seconds to validate, as real servers do.
type Pebble struct {
	Directory string // its URL
	daemon    *daemon
}

// StartPebble starts a Pebble with a certificate issued by ca.
func StartPebble(t T, ca *testcert.CA, o PebbleOptions) *Pebble {
	t.Helper()
	binary := BuiltProgram(t, "pebble", "v2.10.1")
	dir, addr := newFolder(t), FreeAddr(t)
	cert := testcert.New(t, testcert.Options{Names: []string{"127.0.0.1"}, CA: ca})
	var port int
	if _, err := fmt.Sscan(o.Port, &port); err != nil {
		t.Fatalf("testpeer: port %q: %v", o.Port, err)
	}
	retryAfter := 1
	if o.NoRetryAfter {
		retryAfter = 0
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": addr, "managementListenAddress": "",
		"certificate": cert.CertFile, "privateKey": cert.KeyFile,
		"httpPort": port, "tlsPort": port,
		"retryAfter": map[string]int{"authz": retryAfter, "order": retryAfter},
		"profiles":   map[string]any{"default": map[string]any{"description": "the only one", "validityPeriod": o.Life}},
	}})
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	dir.write(t, "pebble.json", string(config))
	cmd := exec.Command(binary, "-config", dir.path("pebble.json"), "-dnsserver", o.Resolver)
	cmd.Env = append(os.Environ(), "PEBBLE_WFE_NONCEREJECT=20", "PEBBLE_VA_SLEEPTIME=2")
	p := &Pebble{Directory: "https://" + addr + "/dir", daemon: startDaemon(t, "pebble", dir, cmd)}
	awaitOutput(t, p.daemon, "ACME directory available")
	return p
}

// Stop stops the server.
func (p *Pebble) Stop() { p.daemon.stop() }
