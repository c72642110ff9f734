package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A lan is a switch and the machines at it, each in a network namespace of its own. Faults
// are made in their firewalls and on their links.
type lan struct {
	t     *testing.T
	hub   namespace
	nodes []*node
}

// A node is a machine of a lan.
type node struct {
	namespace
	t     *testing.T
	ip    string
	loses map[string]int // percentage of what arrives, by the address that it is from
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	requirePrograms(t, "ip", "nft", "nsenter")
	if os.Geteuid() != 0 {
		unavailable(t, "a network of its own needs root")
	}
	w := &lan{t: t, hub: newNamespace(t)}
	w.hub.run(t, "ip link set lo up", "ip link add hub type bridge", "ip link set hub up")
	return w
}

// add adds a machine with that address in 10.0.0.0/8.
func (w *lan) add(ip string) *node {
	w.t.Helper()
	n := &node{namespace: newNamespace(w.t), t: w.t, ip: ip, loses: make(map[string]int)}
	port := fmt.Sprintf("port%d", len(w.nodes))
	w.nodes = append(w.nodes, n)
	w.hub.run(w.t, "ip link add "+port+" type veth peer name eth0 netns "+n.path(), "ip link set "+port+" master hub up")
	n.run(w.t, "ip link set lo up", "ip link set eth0 up", "ip addr add "+ip+"/8 dev eth0")
	return n
}

// cut loses what some send to others. The other direction passes.
func (w *lan) cut(from, to []*node) {
	w.t.Helper()
	w.lose(100, from, to)
}

// part loses what some and others send to each other.
func (w *lan) part(some, others []*node) {
	w.t.Helper()
	w.cut(some, others)
	w.cut(others, some)
}

// lose loses a percentage of the packets that some send to others.
func (w *lan) lose(percent int, from, to []*node) {
	w.t.Helper()
	for _, n := range to {
		for _, other := range from {
			if other != n {
				n.loses[other.ip] = percent
			}
		}
		n.filter()
	}
}

// heal ends all losses.
func (w *lan) heal() {
	w.t.Helper()
	for _, n := range w.nodes {
		if len(n.loses) > 0 {
			clear(n.loses)
			n.filter()
		}
	}
}

// filter makes the machine's firewall lose what it has to.
func (n *node) filter() {
	n.t.Helper()
	rules := "flush ruleset\ntable ip faults {\nchain input {\ntype filter hook input priority 0;\n"
	for ip, percent := range n.loses {
		rules += fmt.Sprintf("ip saddr %s numgen random mod 100 <= %d drop\n", ip, percent-1)
	}
	cmd := n.command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules + "}\n}\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s%s", err, out, rules)
	}
}

// A namespace is a network namespace. It lasts until the file is closed and no process is in it.
type namespace struct{ file *os.File }

func newNamespace(t *testing.T) namespace {
	t.Helper()
	var file *os.File
	err := onThread(func() error { return syscall.Unshare(syscall.CLONE_NEWNET) }, func() (err error) {
		file, err = os.Open(ownNetwork)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return namespace{file}
}

func (ns namespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.file.Fd()) }

// entering is the beginning of a command line that runs a program in the namespace.
func (ns namespace) entering() []string { return []string{"nsenter", "--net=" + ns.path()} }

// command is a program in the namespace. It has the process that nsenter would have.
func (ns namespace) command(words ...string) *exec.Cmd {
	words = append(ns.entering(), words...)
	return exec.Command(words[0], words[1:]...)
}

// run runs command lines in the namespace.
func (ns namespace) run(t *testing.T, lines ...string) {
	t.Helper()
	err := ns.in(func() error {
		for _, line := range lines {
			if err := inNetwork(line); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// in calls f in the namespace.
func (ns namespace) in(f func() error) error { return inNetworkAt(ns.path(), f) }

// Dial connects from the namespace: see [nats.CustomDialer].
func (ns namespace) Dial(network, addr string) (conn net.Conn, err error) {
	err = ns.in(func() error {
		conn, err = net.DialTimeout(network, addr, patience)
		return err
	})
	return conn, err
}

// ownNetwork is the network namespace of the thread.
const ownNetwork = "/proc/thread-self/ns/net"

// inNetworkAt calls f in a network namespace, given by its path.
func inNetworkAt(path string, f func() error) error {
	network, err := os.Open(path)
	if err != nil {
		return err
	}
	defer network.Close()
	return onThread(func() error { return unix.Setns(int(network.Fd()), unix.CLONE_NEWNET) }, f)
}

// onThread calls f on a thread that enter has brought into another network namespace, and that is
// brought back. It must not end, since that ends the processes that it has started (PR_SET_PDEATHSIG).
func onThread(enter, f func() error) error {
	result := make(chan error)
	go func() {
		defer close(result)
		runtime.LockOSThread()
		own, err := os.Open(ownNetwork)
		if err != nil {
			result <- err
			return
		}
		defer own.Close()
		if err := enter(); err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer func() {
			if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
				panic(err)
			}
			runtime.UnlockOSThread()
		}()
		result <- f()
	}()
	if err, returned := <-result; returned {
		return err
	}
	return errors.New("f has ended its goroutine, as t.Fatal does")
}

// A slowLine forwards connections at an address of a machine, and lets all bytes take their time
// in each direction.
type slowLine struct {
	at     *node
	server string
	takes  time.Duration
}

// start begins to forward, until the test ends.
func (l *slowLine) start(t *testing.T, port string) {
	t.Helper()
	var listener net.Listener
	err := l.at.in(func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(l.at.ip, port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		close(ended)
		listener.Close()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.forward(conn, ended)
		}
	}()
}

func (l *slowLine) forward(client net.Conn, ended <-chan struct{}) {
	defer client.Close()
	server, err := l.at.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	closed := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			l.delay(way[1], way[0], ended)
			closed <- struct{}{}
		}()
	}
	select {
	case <-closed:
	case <-ended:
	}
}

// delay copies until one side is closed.
func (l *slowLine) delay(to, from net.Conn, ended <-chan struct{}) {
	type chunk struct {
		bytes []byte
		due   time.Time
	}
	underway := make(chan chunk, 1000)
	go func() {
		defer close(underway)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			if err != nil {
				return
			}
			select {
			case underway <- chunk{b[:n], time.Now().Add(l.takes)}:
			case <-ended:
				return
			}
		}
	}()
	for c := range underway {
		select {
		case <-time.After(time.Until(c.due)):
		case <-ended:
			return
		}
		if _, err := to.Write(c.bytes); err != nil {
			return
		}
	}
}
