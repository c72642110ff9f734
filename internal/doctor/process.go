package doctor

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"postern/internal/listening"
	"postern/internal/probe"
	"postern/internal/server"
	"postern/internal/smtpd"
)

// isServer reports whether a process that listens is the server, or systemd, which passes it
// the socket.
func isServer(p listening.Process) bool {
	return p.Program() == "Postern" || p.Program() == "systemd"
}

// process examines whether the server has its ports, and the process that has them.
func (e *examination) process(ctx context.Context) {
	if e.unknown != nil {
		e.add(probe.Finding{ID: "process", Severity: probe.Notice, Title: "The programs that listen here are not known", Evidence: []string{e.unknown.Error()}})
	}
	var running listening.Process
	for _, endpoint := range server.Endpoints(e.config) {
		address, ok := server.ReachedAt(endpoint.Address)
		if !ok {
			continue
		}
		listens := true
		if e.unknown == nil {
			var process listening.Process
			if process, listens = e.port(endpoint, address); process.ID > 0 {
				running = process
			}
		}
		if listens && endpoint.Protocol == server.STARTTLS {
			e.addresses = append(e.addresses, address)
		}
	}
	if running.ID == 0 {
		return
	}
	e.otherPorts()
	e.installed(running)
	e.descriptors(running)
}

// port examines who listens at an address of the configuration. It returns the server's process
// if that does, and false if another program or none does.
func (e *examination) port(endpoint server.Endpoint, address netip.AddrPort) (running listening.Process, listens bool) {
	socket, taken := listening.At(e.sockets, address)
	switch {
	case !taken:
		e.add(probe.Finding{ID: "not-listening", Severity: probe.Critical, Title: "Nothing listens on " + endpoint.String(),
			Advice: do("Postern", "Start it, with systemctl start postern. If it does not start, its log says why: journalctl -u postern.")})
		return running, false
	case socket.Process.ID == 0:
		e.add(probe.Finding{ID: "port", Severity: probe.Notice, Title: fmt.Sprintf("A program of another user listens on %s", endpoint),
			Advice: do("Postern", "Run postern doctor as root to see which.")})
		return running, true
	case !isServer(socket.Process):
		e.add(probe.Finding{ID: "port-taken", Severity: probe.Critical, Title: fmt.Sprintf("%s listens on %s, so Postern cannot", socket.Process, endpoint),
			Advice: do(socket.Process.Program(), "Move it to another port: postern setup prints the commands.")})
		return running, false
	}
	e.ok("port", fmt.Sprintf("%s listens on %s", socket.Process, endpoint))
	return socket.Process, true
}

// otherPorts looks for other programs on port 25 of addresses that senders may use.
func (e *examination) otherPorts() {
	for _, socket := range listening.On(e.sockets, smtpPort) {
		if socket.Address.Addr().IsLoopback() || socket.Process.ID == 0 || isServer(socket.Process) {
			continue
		}
		e.add(probe.Finding{ID: "other-program", Severity: probe.Warning,
			Title:  fmt.Sprintf("%s takes mail at %s, past Postern", socket.Process, socket.Address),
			Advice: do(socket.Process.Program(), fmt.Sprintf("Let it listen on loopback only, and add %q to listen in postern.toml.", socket.Address))})
	}
}

const smtpPort = 25

// packaged is where packages install the program.
const packaged = "/usr/bin/postern"

// installed compares the running program with the installed one.
func (e *examination) installed(running listening.Process) {
	advice := "Run systemctl restart postern. Sessions finish the message that they are in."
	_, err := os.Stat(e.packaged)
	switch {
	case running.Replaced():
	case running.Program() == "Postern" && running.Path != e.packaged && err == nil:
		advice = fmt.Sprintf("If you want the program of the package, %s, remove the other one, and /etc/systemd/system/postern.service if it is there. Then run systemctl daemon-reload and systemctl restart postern.", e.packaged)
	default:
		return
	}
	e.add(probe.Finding{ID: "old-version", Severity: probe.Warning, Title: "The running Postern is not the installed version",
		Evidence: []string{fmt.Sprintf("process %d runs %s", running.ID, running.Path)}, Advice: do("Postern", advice)})
}

// descriptors compares the limit of open files of the running process with what the limits of
// connections need.
func (e *examination) descriptors(running listening.Process) {
	limit, ok := openFiles(fmt.Sprintf("/proc/%d/limits", running.ID))
	if !ok {
		return
	}
	wanted := cmp.Or(e.config.Limits.Total.Connections, smtpd.DefaultLimits.Total.Connections)
	if fit := server.ConnectionsWithin(limit, e.config); fit < wanted {
		e.add(probe.Finding{ID: "descriptors", Severity: probe.Notice,
			Title:  fmt.Sprintf("The limit of open files, %d, allows %d connections, not the %d that are set", limit, fit, wanted),
			Advice: do("Postern", "Set LimitNOFILE= in its unit, or lower connections in [limits.total].")})
		return
	}
	e.ok("descriptors", "The limit of open files suffices")
}

// openFiles reads the soft limit of open files in a file such as /proc/self/limits.
func openFiles(path string) (limit int, ok bool) {
	file, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), "Max open files"); found {
			limit, err = strconv.Atoi(strings.Fields(rest + " -")[0])
			return limit, err == nil // "unlimited" is enough
		}
	}
	return 0, false
}
