package testpeer

import (
	"cmp"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// A NATS is one nats-server with JetStream.
type NATS struct {
	Name    string // in the cluster
	URL     string
	t       T
	program []string
	dir     folder
	store   string
	config  []string
	daemon  *daemon
}

// A NATSPlace is where a server runs, and which one.
type NATSPlace struct {
	IP     string   // where it listens, at the ports of NATS; empty: on loopback, at free ports
	Within []string // command that runs programs there, such as nsenter
	Store  string   // folder of what it stores; empty: one of its own
	Debian bool     // version 2.9 of Debian's package, not a new one
}

// StartNATS starts n servers on loopback: one alone, or a cluster. Clients log in as user "mx" with
// the password "secret", which is in the URLs.
func StartNATS(t T, n int) []*NATS {
	t.Helper()
	return StartNATSAt(t, make([]NATSPlace, n)...)
}

// StartNATSAt starts a server at each place, as [StartNATS] does.
func StartNATSAt(t T, places ...NATSPlace) []*NATS {
	t.Helper()
	var addrs, routes []string
	for _, place := range places {
		if place.IP == "" {
			addrs, routes = append(addrs, FreeAddr(t)), append(routes, FreeAddr(t))
		} else {
			addrs, routes = append(addrs, net.JoinHostPort(place.IP, "4222")), append(routes, net.JoinHostPort(place.IP, "6222"))
		}
	}
	servers := make([]*NATS, len(places))
	for i, place := range places {
		dir := newFolder(t)
		s := &NATS{Name: fmt.Sprintf("n%d", i), URL: "nats://mx:secret@" + addrs[i], t: t, dir: dir, store: cmp.Or(place.Store, dir.path("store"))}
		s.program = append(slices.Clone(place.Within), natsProgram(t, place), "-c", dir.path("nats.conf"))
		s.config = []string{
			"server_name: " + s.Name, "listen: " + addrs[i],
			"authorization: {user: mx, password: secret}",
			"jetstream: {store_dir: " + s.store + ", max_file_store: 2GB}",
		}
		if len(places) > 1 {
			s.config = append(s.config, fmt.Sprintf("cluster: {name: tests, listen: %q, routes: [nats://%s]}", routes[i], strings.Join(routes, ", nats://")))
		}
		servers[i] = s
		s.Start()
	}
	return servers
}

func natsProgram(t T, place NATSPlace) string {
	t.Helper()
	if place.Debian {
		return program(t, "nats-server")
	}
	return BuiltProgram(t, "nats-server", "v2.15.2")
}

// Start starts a server that was stopped, with what it has stored.
func (s *NATS) Start() {
	s.t.Helper()
	s.StartWith()
}

// StartRefusing starts a server that was stopped, with an account that clients do not know.
func (s *NATS) StartRefusing() {
	s.t.Helper()
	s.StartWith("authorization: {user: mx, password: another}")
}

// StartWith starts a server that was stopped, with lines that replace those of its configuration that
// set the same.
func (s *NATS) StartWith(lines ...string) {
	s.t.Helper()
	config := slices.Clone(s.config)
	for _, line := range lines {
		key, _, _ := strings.Cut(line, ":")
		config = slices.DeleteFunc(config, func(old string) bool { return strings.HasPrefix(old, key+":") })
	}
	s.dir.write(s.t, "nats.conf", append(config, lines...)...)
	s.daemon = startDaemon(s.t, "nats-server", s.dir, exec.Command(s.program[0], s.program[1:]...))
	awaitOutput(s.t, s.daemon, "Server is ready")
}

// Store returns the folder of what the server has stored.
func (s *NATS) Store() string { return s.store }

// Stop stops the server.
func (s *NATS) Stop() { s.daemon.stop() }

// Kill kills the server, as a failing machine would.
func (s *NATS) Kill() {
	_ = s.daemon.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
	s.daemon.stop()
}
