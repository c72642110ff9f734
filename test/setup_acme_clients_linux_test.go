package test

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// lego and Caddy have obtained certificates for the machine's name, one with an RSA key and one with an
// ECDSA key. The plan of postern setup uses both where these programs keep them.
func TestSetupFindsCertificatesOfLegoAndCaddy(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "lego", "caddy")
	m := startMailServer(t)
	ca := testcert.NewCA(t)
	var directory string
	err := inNetworkOf(m.pid, func() error {
		directory = testpeer.StartPebble(t, ca, testpeer.PebbleOptions{Resolver: "127.0.0.1:53", Port: "443", Life: 90 * 24 * 3600, NoRetryAfter: true}).Directory
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.run("LEGO_CA_CERTIFICATES=" + ca.File + " lego --server " + directory + " --accept-tos --email ann@example.org --domains mx.example.org --key-type rsa2048 --path /etc/lego --tls run")
	m.write("/etc/caddy/Caddyfile", fmt.Sprintf(`mx.example.org {
	tls {
		issuer acme {
			email ann@example.org
			dir %s
			trusted_roots %s
			disable_http_challenge
		}
	}
}
`, directory, ca.File))
	m.run("HOME=/var/lib/caddy caddy start --config /etc/caddy/Caddyfile >/var/log/caddy 2>&1 || { cat /var/log/caddy; false; }")
	const kept = "/var/lib/caddy/.local/share/caddy/certificates/*/mx.example.org/mx.example.org"
	m.eventually("ls " + kept + ".key " + kept + ".crt || { cat /var/log/caddy; false; }")
	m.run("caddy stop")

	m.run("useradd --create-home ann && mv /etc/postfix /etc/postfix.removed && dovecot")
	plan := m.run("postern setup --hostname mx.example.org --domain example.org")
	checkHas(t, "the plan", spaced(strings.ReplaceAll(plan, "\n#", "\n")),
		"/etc/lego/certificates/mx.example.org.crt: RSA for mx.example.org", "/mx.example.org/mx.example.org.crt: ECDSA for mx.example.org")
	m.follow(plan)
	p := m.serve()
	for _, kind := range []string{" ECDSA for mx.example.org, until ", " RSA for mx.example.org, until "} {
		if line := p.await(0, kind); strings.Contains(line, "self-signed") {
			t.Errorf("it uses another certificate: %s", line)
		}
	}
	m.deliver(remoteAddress, mxAddress, "through Postern")
	m.stop(p)
}
