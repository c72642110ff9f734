package test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/testsmtp"
)

// The sender's network has a smaller MTU than it announces, and no ICMP message says so. The
// greeting and EHLO pass, the server's flight does not. That the ticket was in it is not why
// the handshake failed, and the sender keeps its mode.
func TestLostFlightIsNotBlamedOnTheTicket(t *testing.T) {
	serverNetwork(t)
	sender := newSender()
	defer sender.leave()
	sender.connect(t)

	data := t.TempDir()
	settings := filepath.Join(data, "postern.toml")
	if err := os.WriteFile(settings, []byte("[limits]\nhandshake-timeout = \"1s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "", "serve", "--config", settings, "--listen", nearAddress+":2525", "--hostname", "mx.test",
		"--domain", "localhost", "--data", data, "--mode", "stock")
	p.await(0, "  listens on ", nearAddress)
	sender.start(nearAddress + ":2525")
	p.awaitSessions(1)
	line, _, _ := p.log.find(0, "msg=session")
	for _, want := range []string{"case=flight-did-not-arrive", `stopped="timed out waiting for the client, after NewSessionTicket, which was not acknowledged"`,
		`next="mode stock again: the failure does not point to the mode"`} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in the line %s", want, line)
		}
	}
	sender.leave()
	if err := <-sender.result; err == nil {
		t.Error("the sender completed its handshake")
	}
	session := regexp.MustCompile(`session=(\w+)`).FindStringSubmatch(line)
	eventually(t, func() error {
		return checkOutput(t, "the client's TCP acknowledged nothing of what the server sent", "handshakes", "show", session[1], "--data", data)
	})
}

const nearAddress, farAddress = "10.254.7.1", "10.254.7.2"

// serverNetwork gives the test a network namespace of its own. The test's thread ends with the
// test.
func serverNetwork(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		unavailable(t, err.Error())
	}
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		t.Skipf("a network namespace: %v; run this test as root", err)
	}
	for _, command := range []string{
		"ip link set lo up",
		"ip link add to-sender type veth peer name to-server",
		"ip addr add " + nearAddress + "/24 dev to-sender",
		"ip link set to-sender gso_max_segs 1 gso_max_size 1500", // no segments that the link cuts later
		"ip link set to-sender mtu 1500 up",
	} {
		if err := inNetwork(command); err != nil {
			t.Fatal(err)
		}
	}
}

// A sender is a client in another network namespace.
type sender struct {
	namespace chan string   // its path
	linked    chan struct{} // the link to the server is in it
	addr      chan string   // of the server
	left      chan struct{}
	result    chan error
}

func newSender() *sender {
	s := &sender{make(chan string, 1), make(chan struct{}), make(chan string, 1), make(chan struct{}), make(chan error, 1)}
	go func() { s.result <- s.run() }()
	return s
}

// connect moves one end of the link into the sender's namespace.
func (s *sender) connect(t *testing.T) {
	t.Helper()
	select {
	case path := <-s.namespace:
		if err := inNetwork("ip link set to-server netns " + path); err != nil {
			t.Fatal(err)
		}
		close(s.linked)
	case err := <-s.result:
		t.Fatal(err)
	}
}

func (s *sender) start(addr string) { s.addr <- addr }

func (s *sender) leave() {
	select {
	case <-s.left:
	default:
		close(s.left)
	}
}

// run is the sender, on a thread that ends with it.
func (s *sender) run() error {
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return err
	}
	s.namespace <- fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), syscall.Gettid())
	select {
	case <-s.linked:
	case <-s.left:
		return nil
	}
	for _, command := range []string{
		"ip addr add " + farAddress + "/24 dev to-server",
		"ip link set to-server mtu 600 up",
		"ip route replace 10.254.7.0/24 dev to-server advmss 1460",
	} {
		if err := inNetwork(command); err != nil {
			return err
		}
	}
	select {
	case addr := <-s.addr:
		return s.send(addr)
	case <-s.left:
		return nil
	}
}

func (s *sender) send(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	c := testsmtp.New(conn)
	for _, command := range []string{"", "EHLO sender.test\r\n", "STARTTLS\r\n"} {
		reply, err := c.Ask(command)
		if err != nil || !reply.Positive() {
			return fmt.Errorf("reply %q to %q: %w", reply, command, err)
		}
	}
	go func() {
		<-s.left
		conn.Close()
	}()
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}).Handshake()
}

// inNetwork runs a command in the network namespace of the calling thread.
func inNetwork(line string) error {
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}
