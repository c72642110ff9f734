package test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"postern/internal/testsmtp"
)

// A listening socket, as that of a systemd socket unit, that outlives the program.
type socket struct {
	name string // FileDescriptorName=
	ln   *net.TCPListener
	file *os.File
}

func newSocket(t *testing.T, name string) socket {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return socket{name, ln.(*net.TCPListener), file}
}

// activate runs the program without a configuration file with sockets.
func activate(t *testing.T, data string, sockets ...socket) *postern {
	t.Helper()
	return activateWith(t, os.DevNull, data, sockets...)
}

// activateWith runs the program with sockets, passed as systemd does: from descriptor 3 on, with
// their number, their names and the program's process ID in the environment.
func activateWith(t *testing.T, config, data string, sockets ...socket) *postern {
	t.Helper()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, program,
		"serve", "--config", config, "--hostname", "mx.test", "--domain", "localhost", "--data", data)
	var names []string
	for _, s := range sockets {
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.file)
		names = append(names, s.name)
	}
	cmd.Env = append(os.Environ(), fmt.Sprintf("LISTEN_FDS=%d", len(sockets)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	p := launchCommand(t, cmd)
	p.data = data
	return p
}

// While the program restarts, senders connect to the socket of systemd: none is refused, and
// those that connect in between wait for the next process.
func TestARestartRefusesNoConnection(t *testing.T) {
	s, data := newSocket(t, "smtp"), t.TempDir()
	addr := s.ln.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	var mu sync.Mutex
	sent, deferred := 0, 0
	p := activate(t, data, s)
	p.await(0, "  listens on ", addr+" (STARTTLS)")
	for i := range 4 {
		senders.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c, err := testsmtp.Connect(addr, "")
				if err != nil {
					t.Errorf("connecting: %v", err)
					return
				}
				reply, err := c.Reply()
				if err != nil || reply.Code != 220 && reply.Code != 421 {
					t.Errorf("instead of a greeting: %s, %v", reply, err)
				}
				accepted := false
				if reply.Code == 220 {
					err := c.Hello()
					if err == nil {
						reply, err = c.Deliver(newMessage(fmt.Sprintf("restart %d %d", i, n), 0))
					}
					accepted = err == nil && reply.Code == 250
				}
				mu.Lock()
				if accepted {
					sent++
				} else {
					deferred++ // the process stopped meanwhile; the sender retries
				}
				mu.Unlock()
				c.Close()
			}
		})
	}
	for range 5 {
		p.await(0, "msg=session", "messages=1")
		p.terminate()
		waiting, err := testsmtp.Connect(addr, "")
		if err != nil {
			t.Fatalf("connecting while no process runs: %v", err)
		}
		p = activate(t, data, s)
		if reply, err := waiting.Reply(); err != nil || reply.Code != 220 {
			t.Errorf("a connection that waited for the next process gets %s, %v", reply, err)
		}
		waiting.Close()
	}
	p.await(0, "msg=session", "messages=1")
	stop()
	senders.Wait()
	t.Logf("%d messages accepted, %d deferred", sent, deferred)
	if got := len(p.maildir().messages(t)); got < sent {
		t.Errorf("%d messages are stored, %d were accepted", got, sent)
	}
}

// Sockets take the place of the configured addresses with the same protocol.
func TestSocketsSpeakWhatTheirNamesSay(t *testing.T) {
	plain, implicit := newSocket(t, "smtp"), newSocket(t, "smtps")
	p := activate(t, t.TempDir(), implicit, plain)
	p.await(0, "  listens on ", plain.ln.Addr().String()+" (STARTTLS)")
	p.await(0, implicit.ln.Addr().String()+" (implicit TLS)")
	if n := p.log.count("127.0.0.1:2525"); n > 0 {
		t.Error("the program listens on the default address too")
	}
	p.addr = plain.ln.Addr().String()
	if reply := p.deliver(t, newMessage("socket", 0)); reply.Code != 250 {
		t.Errorf("a message by STARTTLS: %s", reply)
	}
	c, err := testsmtp.Connect(implicit.ln.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Handshake(testsmtp.OpportunisticTLS()); err != nil {
		t.Fatalf("a handshake without STARTTLS: %v", err)
	}
	if reply, err := c.Reply(); err != nil || reply.Code != 220 {
		t.Errorf("the greeting over TLS: %s, %v", reply, err)
	}
}

// At the sockets for front-ends those are believed that the configuration trusts.
func TestSocketsForFrontEnds(t *testing.T) {
	settings := filepath.Join(t.TempDir(), "postern.toml")
	const text = `
[proxy-protocol]
trust = ["127.0.0.1"]
listen = ["127.0.0.1:0"]
[xclient]
trust = ["127.0.0.1"]
listen = ["127.0.0.1:0"]
`
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	header, implicit, command := newSocket(t, "smtp-proxy"), newSocket(t, "smtps-proxy"), newSocket(t, "smtp-xclient")
	p := activateWith(t, settings, t.TempDir(), newSocket(t, "smtp"), header, implicit, command)
	for s, protocol := range map[socket]string{header: "STARTTLS, PROXY protocol", implicit: "implicit TLS, PROXY protocol", command: "STARTTLS, XCLIENT"} {
		p.await(0, s.ln.Addr().String()+" ("+protocol+")")
	}
	for s, say := range map[socket]string{header: "PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\nQUIT\r\n", command: "XCLIENT ADDR=192.0.2.8\r\nQUIT\r\n"} {
		c, err := testsmtp.Connect(s.ln.Addr().String(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Send(say)
	}
	p.await(0, "msg=session", "sender=192.0.2.7:40000")
	p.await(0, "msg=session", "sender=192.0.2.8:0")
}

func TestASocketThatCannotBeUsedIsNamed(t *testing.T) {
	regular, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	for _, tt := range []struct {
		socket
		want []string
	}{
		{newSocket(t, "postern.socket"), []string{"socket postern.socket, passed by systemd, has an unknown name", "FileDescriptorName="}},
		{newSocket(t, "smtp-proxy"), []string{"trusts no front-end", "in trust below [proxy-protocol]"}},
		{newSocket(t, "smtp-xclient"), []string{"trusts no front-end", "in trust below [xclient]"}},
		{socket{name: "smtp", file: regular}, []string{"socket smtp, passed by systemd, is no listening socket", "ListenStream="}},
	} {
		p := activate(t, t.TempDir(), tt.socket)
		p.awaitExit()
		if code := p.cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("%s: exit status %d, want 1", tt.name, code)
		}
		for _, words := range tt.want {
			if p.log.count(words) == 0 {
				t.Errorf("%s: the output has no %q:\n%s", tt.name, words, strings.Join(p.log.lines, "\n"))
			}
		}
	}
}
