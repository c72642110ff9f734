package testpeer

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a server may take to end after SIGTERM.
const stopTimeout = 5 * time.Second

// A daemon is a server program that runs until its test ends.
type daemon struct {
	name   string
	output string   // file with its standard output and error
	logs   []string // files to print if the test fails
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended

	stopOnce sync.Once
}

// startDaemon starts cmd in a session of its own, so that its children can be ended with it,
// and writes its output to a file in dir. Logs are the files that the program writes itself.
func startDaemon(t T, name string, dir folder, cmd *exec.Cmd, logs ...string) *daemon {
	t.Helper()
	output, err := os.Create(dir.path(name + ".out"))
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = sessionLeader()
	if err := cmd.Start(); err != nil {
		t.Fatalf("testpeer: starting %s: %v", name, err)
	}
	d := &daemon{
		name:   name,
		output: output.Name(),
		logs:   append(logs, output.Name()),
		cmd:    cmd,
		exited: make(chan struct{}),
	}
	go func() {
		_ = cmd.Wait() // its logs say how it ended
		close(d.exited)
	}()
	t.Cleanup(func() {
		d.stop()
		if failed(t) {
			t.Logf("%s", d.explain())
		}
	})
	return d
}

// stop terminates the daemon and kills what is left of its session, without waiting for that:
// the process that adopts the children may reap them late. Only the first call acts, since
// later the process ID may belong to another process.
func (d *daemon) stop() { d.stopOnce.Do(d.end) }

func (d *daemon) end() {
	pid := d.cmd.Process.Pid
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-d.exited
}

// ended returns an error once the daemon's first process has ended.
func (d *daemon) ended() error {
	select {
	case <-d.exited:
		return errors.New(d.name + " has ended")
	default:
		return nil
	}
}

// explain returns the ends of the daemon's logs.
func (d *daemon) explain() string {
	text := "logs of " + d.name + ":\n"
	for _, path := range d.logs {
		text += tail(path)
	}
	return text
}

const (
	// pollInterval is the time between two checks of a condition.
	pollInterval = 10 * time.Millisecond
	// awaitTimeout bounds every wait. It is long, so that tests do not fail on a busy machine.
	awaitTimeout = 60 * time.Second
	// lowestPort and highestPort bound the ports of servers. They are below the ephemeral
	// ports of Linux (from 32768 on), so that no outgoing connection takes a port before the
	// server does.
	lowestPort, highestPort = 10240, 32767
)

// await polls until ready returns nil. It ends the test if the daemon ends first or after
// awaitTimeout.
func await(t T, d *daemon, what string, ready func() error) {
	t.Helper()
	deadline := time.Now().Add(awaitTimeout)
	for {
		err := ready()
		if err == nil {
			return
		}
		if ended := d.ended(); ended != nil {
			t.Fatalf("testpeer: waiting for %s: %v; %s", what, ended, d.explain())
		}
		if time.Now().After(deadline) {
			t.Fatalf("testpeer: waiting %v for %s: %v; %s", awaitTimeout, what, err, d.explain())
		}
		if ctx := contextOf(t); ctx.Err() != nil {
			t.Fatalf("testpeer: waiting for %s: %v", what, ctx.Err())
		}
		time.Sleep(pollInterval)
	}
}

// contextOf returns the context of t, if it has one.
func contextOf(t T) context.Context {
	if c, ok := t.(interface{ Context() context.Context }); ok {
		return c.Context()
	}
	return context.Background()
}

// awaitOutput waits until the daemon has written text to its standard output or error.
func awaitOutput(t T, d *daemon, text string) {
	t.Helper()
	await(t, d, d.name+" to write "+text, func() error {
		output, err := os.ReadFile(d.output)
		if err == nil && !strings.Contains(string(output), text) {
			err = fmt.Errorf("it wrote %q", output)
		}
		return err
	})
}

// awaitGreeting waits for the greeting of an SMTP or LMTP server.
func awaitGreeting(t T, d *daemon, network, addr string) {
	t.Helper()
	await(t, d, "the greeting at "+addr, func() error { return greeting(contextOf(t), network, addr) })
}

func greeting(ctx context.Context, network, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	if !strings.HasPrefix(line, "220") {
		return fmt.Errorf("greeted with %q, want 220", line)
	}
	_, err = fmt.Fprint(conn, "QUIT\r\n")
	return err
}

// FreeAddr returns an IPv4 loopback address with a free port, for a server that is told its port. It
// returns none twice, so that a server that is stopped for a while finds its port free.
func FreeAddr(t T) string {
	t.Helper()
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if _, again := handedOut.LoadOrStore(port, true); again {
			continue
		}
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer listener.Close()
		return listener.Addr().String()
	}
	t.Fatalf("testpeer: 100 ports tried, none free on 127.0.0.1")
	return ""
}

// handedOut has the ports that FreeAddr has returned.
var handedOut sync.Map

// splitAddr splits host:port.
func splitAddr(t T, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatalf("testpeer: address %q: %v", addr, err)
	}
	return host, port
}

// maxShown is how much of a log file is printed, in bytes.
const maxShown = 16 << 10

// failed reports whether t is known to have failed.
func failed(t T) bool {
	f, ok := t.(interface{ Failed() bool })
	return ok && f.Failed()
}

// tail returns the last lines of a log file, in at most maxShown bytes.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("-- no log: %v\n", err)
	}
	if cut := len(text) - maxShown; cut > 0 {
		text = text[cut:]
	}
	return fmt.Sprintf("-- %s:\n%s\n", path, strings.ToValidUTF8(string(text), "?"))
}

// readLog returns a whole log file, empty while there is none.
func readLog(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}
