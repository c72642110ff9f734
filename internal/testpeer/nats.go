package testpeer

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// A NATS is one nats-server with JetStream on loopback.
type NATS struct {
	URL    string
	t      T
	binary string
	dir    folder
	config []string
	daemon *daemon
}

// natsAccount is the line of the configuration that lets clients log in.
const natsAccount = "authorization: {user: mx, password: secret}"

// StartNATS starts n servers: one alone, or a cluster. Clients log in as user "mx" with the
// password "secret", which is in the URLs.
func StartNATS(t T, n int) []*NATS {
	t.Helper()
	binary := BuiltProgram(t, "nats-server", "v2.15.2")
	var routes []string
	for range n {
		routes = append(routes, "nats://"+freeAddr(t))
	}
	servers := make([]*NATS, n)
	for i := range servers {
		dir, addr := newFolder(t), freeAddr(t)
		config := []string{
			fmt.Sprintf("server_name: n%d", i), "listen: " + addr,
			natsAccount,
			"jetstream: {store_dir: " + dir.path("store") + ", max_file_store: 2GB}",
		}
		if n > 1 {
			config = append(config, fmt.Sprintf("cluster: {name: tests, listen: %q, routes: [%s]}", strings.TrimPrefix(routes[i], "nats://"), strings.Join(routes, ", ")))
		}
		servers[i] = &NATS{URL: "nats://mx:secret@" + addr, t: t, binary: binary, dir: dir, config: config}
		servers[i].Start()
	}
	return servers
}

// Start starts a server that was stopped, with what it has stored.
func (s *NATS) Start() {
	s.t.Helper()
	s.start(natsAccount)
}

// StartRefusing starts a server that was stopped, with an account that clients do not know.
func (s *NATS) StartRefusing() {
	s.t.Helper()
	s.start("authorization: {user: mx, password: another}")
}

func (s *NATS) start(account string) {
	s.t.Helper()
	config := slices.Clone(s.config)
	config[slices.Index(config, natsAccount)] = account
	s.dir.write(s.t, "nats.conf", config...)
	s.daemon = startDaemon(s.t, "nats-server", s.dir, exec.Command(s.binary, "-c", s.dir.path("nats.conf")))
	awaitOutput(s.t, s.daemon, "Server is ready")
}

// Store returns the folder of what the server has stored.
func (s *NATS) Store() string { return s.dir.path("store") }

// Stop stops the server.
func (s *NATS) Stop() { s.daemon.stop() }

// Kill kills the server, as a failing machine would.
func (s *NATS) Kill() {
	_ = s.daemon.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
	s.daemon.stop()
}
