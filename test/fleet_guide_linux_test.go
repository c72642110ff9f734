package test

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/testpeer"
)

// Three NATS servers and two mail hosts, configured by docs/fleet.md from nothing, are a fleet: a
// strict sender that failed at one host delivers at the other, and each shows what was at both. One
// machine stands in for all, so each program has an address and folders of its own.
func TestGuideMakesAFleet(t *testing.T) {
	t.Parallel()
	const secondAddress = "192.0.2.26"
	m := startMachine(t, mxAddress+"/32", secondAddress+"/32", remoteAddress+"/32", natsAddress(1)+"/32", natsAddress(2)+"/32", natsAddress(3)+"/32")
	records := []string{"example.org. MX 10 mx.example.org.", "mx.example.org. A " + mxAddress, "mx2.example.org. A " + secondAddress}
	for n := range 3 {
		records = append(records, fmt.Sprintf("nats%d.example.org. A %s", n+1, natsAddress(n+1)))
	}
	m.nameserver(records...)
	m.run("useradd --system --home-dir /var/lib/postern postern && mkdir -p /etc/postern && install -d -o postern -g postern /var/lib/postern /var/lib/postern2")
	m.authority("/etc/nats/cert.pem", "/etc/nats/key.pem", "nats1.example.org", "nats2.example.org", "nats3.example.org")

	const heading = "Setting it up"
	// A server takes a route to its own machine and port for one to itself.
	nats := strings.NewReplacer("nats2.example.org:6222", "nats2.example.org:6223", "nats3.example.org:6222", "nats3.example.org:6224").
		Replace(recipe(t, "fleet.md", heading, "/etc/nats/nats-server.conf"))
	for n := range 3 {
		file := fmt.Sprintf("/etc/nats/nats-server%d.conf", n+1)
		m.write(file, strings.NewReplacer("server_name: n1", fmt.Sprintf("server_name: n%d", n+1),
			"0.0.0.0:4222", natsAddress(n+1)+":4222", "0.0.0.0:6222", fmt.Sprintf("%s:%d", natsAddress(n+1), 6222+n),
			"/var/lib/nats", fmt.Sprintf("/var/lib/nats%d", n+1)).Replace(nats))
		m.run(testpeer.BuiltProgram(t, "nats-server", "v2.15.2") + " -c " + file + " >>/run/nats.log 2>&1 &")
	}
	m.eventually("grep 'JetStream cluster new metadata leader' /run/nats.log || { cat /run/nats.log; false; }")
	for _, command := range typed(t, "../docs/fleet.md", heading) {
		m.run(command)
	}

	m.run("cd /etc/postern && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mx.example.org -keyout privkey.pem -out fullchain.pem && chown postern privkey.pem")
	fleet := strings.ReplaceAll(recipe(t, "fleet.md", heading, "/etc/postern/postern.toml"), "PASSWORD", "a%20long%20random%20one")
	host := func(file, name, address, data string) *postern {
		// In this mode a strict sender fails at first.
		m.write(file, "mode = \"stock\"\ndata = \""+data+"\"\n"+strings.NewReplacer("mx.example.org", name, `":25"`, `"`+address+`:25"`).Replace(firstSettings(t))+fleet+"\n")
		p := m.serveFrom(file)
		p.await(0, `msg="fleet connected"`)
		return p
	}
	host("/etc/postern/postern.toml", "mx.example.org", mxAddress, "/var/lib/postern")
	second := host("/etc/postern/second.toml", "mx2.example.org", secondAddress, "/var/lib/postern2")

	const deliver = "postern probe --as early-ticket --deliver me@example.net ann@example.org "
	if printed, err := m.output(deliver + "mx.example.org"); err == nil {
		t.Fatalf("the strict sender did not fail:\n%s", printed)
	}
	m.eventually(deliver + "mx2.example.org")
	for _, file := range []string{"/etc/postern/postern.toml", "/etc/postern/second.toml"} {
		m.eventually("postern handshakes --config " + file + " --host mx.example.org --failed | grep early-ticket")
		m.eventually("postern handshakes --config " + file + " --host mx2.example.org | grep 'full\\|resumed'")
		m.eventually("postern fleet --config " + file + " | grep 'mx.example.org .*shares' && postern fleet --config " + file + " | grep 'mx2.example.org .*shares'")
	}
	m.stop(second)
	m.eventually(strings.Replace(documented(t, "fleet.md", "postern fleet forget "), "NAME", "mx2.example.org", 1))
	m.eventually("! postern fleet | grep mx2.example.org")
}

func natsAddress(n int) string { return fmt.Sprintf("192.0.2.%d", 10+n) }
