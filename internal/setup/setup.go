// Package setup plans how Postern comes in front of the mail server of a machine.
//
//	machine := setup.Look(ctx, setup.Options{})
//	plan, err := machine.Plan()
//	fmt.Print(plan.Script())
//
// [Look] only reads: files, /proc, DNS, and what the mail servers print about their
// configuration. A [Plan] is a shell script for root: its comments explain, its commands do.
// [Plan.Write] writes Postern's own files, and no others.
//
// Each mail server has a file, with what is found of it and the commands by which it leaves port
// 25 to Postern. mox has none: it is better without Postern.
//
// # Limits
//
// Look finds little unless it runs as root on Linux. It takes the word of a server's own tools
// for its configuration; domains that are in a database are not found.
package setup

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"time"

	"postern/internal/listening"
)

// Options replace what Look would find.
type Options struct {
	Hostname string   // the name in the MX records
	Domains  []string // to receive mail for
}

// Check returns an error if a name cannot be in DNS, and else brings the names into the form
// that [Look] needs.
func (o *Options) Check() error {
	for _, name := range o.names() {
		ascii, ok := domainName(*name)
		if !ok {
			return fmt.Errorf("setup: %q is not a name in DNS", *name)
		}
		*name = ascii
	}
	return nil
}

func (o *Options) names() (all []*string) {
	if o.Hostname != "" {
		all = append(all, &o.Hostname)
	}
	for i := range o.Domains {
		all = append(all, &o.Domains[i])
	}
	return all
}

// A Machine is what was found.
type Machine struct {
	Hostname  string       // the name in the MX records; empty if it was not found
	Domains   []string     // to receive mail for
	Addresses []netip.Addr // to receive mail at; nil: all

	own          []netip.Addr // addresses of this machine that others can use
	mx           []mxRecords
	sockets      []listening.Socket
	servers      []*server
	certificates []certificate
	systemd      bool
	unit         bool // postern.service is installed
	account      bool // the user postern exists
	notes        []string
}

// A server is a mail server that is installed.
type server struct {
	name, version string
	hostname      string        // that it uses
	domains       []string      // that it receives mail for
	certificates  []certificate // that it presents
	notes         []string      // what could not be found out

	// steps returns how the server leaves port 25 to Postern and listens on another one; nil
	// if it should not.
	steps func(*Machine) handover
}

// A handover is how a server leaves port 25 to Postern. Its commands are for root.
type handover struct {
	nextHop string   // the URL of the server as Postern's next hop
	sees    string   // how the server learns the sender's address, to follow "which"
	open    []string // commands after which Postern can deliver to it
	leave   []string // commands after which Postern can listen on port 25; nil: it did not
	back    []string // commands that undo both
	stays   bool     // it goes on to listen on port 25 of loopback, for programs of the machine
	notes   []string // what will be different behind Postern
}

// programTime bounds each program that is asked for its configuration, and dnsTime all queries.
const (
	programTime = 10 * time.Second
	dnsTime     = 10 * time.Second
)

// Look looks at this machine. The options have passed [Options.Check].
func Look(ctx context.Context, o Options) *Machine {
	m := &Machine{Hostname: o.Hostname, Domains: o.Domains, own: ownAddresses()}
	if os.Geteuid() != 0 {
		m.note("This is not root: programs that listen, keys and configurations may be missing here.")
	}
	var err error
	if m.sockets, err = listening.Sockets(); err != nil {
		m.note("The programs that listen are not known: %v.", err)
	}
	for _, find := range []func(context.Context, *Machine) *server{findPostfix, findExim, findOpenSMTPD, findMaddy, findMox, findChasquid, findDovecot} {
		if s := find(ctx, m); s != nil {
			m.servers = append(m.servers, s)
		}
	}
	m.systemd = isFolder("/run/systemd/system")
	m.unit = slices.ContainsFunc([]string{"/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"},
		func(folder string) bool { return exists(folder + "/postern.service") })
	_, err = user.Lookup("postern")
	m.account = err == nil
	m.lookUpNames(ctx)
	m.certificates = m.findCertificates("/")
	return m
}

// note adds something that the operator should know before anything else.
func (m *Machine) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// smtpPort is where other mail servers deliver.
const smtpPort = 25

// server returns the server that Postern comes in front of, nil for none: the one that listens
// on port 25 for other machines, else the first that there is a plan for, of those that run if
// one does. Known is false if another program has the port.
func (m *Machine) server() (behind *server, known bool) {
	for _, socket := range listening.On(m.sockets, smtpPort) {
		if socket.Address.Addr().IsLoopback() {
			continue
		}
		name := socket.Process.Program()
		i := slices.IndexFunc(m.servers, func(s *server) bool { return s.name == name })
		if i < 0 {
			return nil, false
		}
		return m.servers[i], true
	}
	for _, s := range m.servers {
		if s.steps != nil && (behind == nil || !m.running(behind.name) && m.running(s.name)) {
			behind = s
		}
	}
	return behind, true
}

// freePort returns the first port from 10025 on at which nothing listens, and that is not in
// taken.
func (m *Machine) freePort(taken []string) string {
	for port := 10025; ; port++ {
		text := fmt.Sprint(port)
		if len(listening.On(m.sockets, uint16(port))) == 0 && !slices.Contains(taken, text) {
			return text
		}
	}
}

// listensOnLoopback reports whether a program takes connections to port 25 of an address of
// loopback.
func (m *Machine) listensOnLoopback(ip string) bool {
	_, ok := listening.At(m.sockets, netip.AddrPortFrom(netip.MustParseAddr(ip), smtpPort))
	return ok
}

// running reports whether a program listens on any port.
func (m *Machine) running(program string) bool {
	return slices.ContainsFunc(m.sockets, func(s listening.Socket) bool { return s.Process.Program() == program })
}

// restart returns the commands that restart a service, those of systemd if it runs.
func (m *Machine) restart(unit string, otherwise ...string) []string {
	if m.systemd {
		return []string{"systemctl restart " + unit}
	}
	return otherwise
}

// ownAddresses returns the addresses of this machine that are neither for itself, nor for its
// link, nor for its containers.
func ownAddresses() (own []netip.Addr) {
	interfaces, _ := net.Interfaces() // none are found, then
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || slices.ContainsFunc(containerInterfaces, func(prefix string) bool { return strings.HasPrefix(i.Name, prefix) }) {
			continue
		}
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().IsGlobalUnicast() {
				own = append(own, prefix.Addr().Unmap())
			}
		}
	}
	slices.SortFunc(own, netip.Addr.Compare)
	return slices.Compact(own)
}

// containerInterfaces are the beginnings of the names of interfaces to containers and virtual
// machines, as Docker, Podman, libvirt, LXD and Kubernetes name them.
var containerInterfaces = []string{"docker", "br-", "veth", "podman", "cni", "virbr", "lxdbr", "lxcbr", "flannel", "cali"}

// output returns what a program prints, without the final newline.
func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	printed, err := exec.CommandContext(ctx, name, args...).Output()
	return strings.TrimRight(string(printed), "\n"), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// words splits a list as Postfix and others write it.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}
