package test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"postern/internal/testsmtp"
)

// Killing the server keeps what the system has in memory, so only its system calls show
// what a power cut would leave.
func TestReplyFollowsTheSyncsOfItsMessage(t *testing.T) {
	p := start(t)
	calls := p.trace("-y", "-s", "300", "-e", "trace=write,fsync,linkat")
	name := deliverPlainly(t, p, 250)
	reply := calls.line(t, `write\(\d+<.*"250 2\.0\.0 stored as `+regexp.QuoteMeta(name))
	text := calls.line(t, `write\(\d+<[^>]*/maildir/new/[^>]*>`)
	textSynced := calls.line(t, `fsync\(\d+<[^>]*/maildir/new/[^>]*>`)
	named := calls.line(t, `linkat\(.*/maildir/new>, "`+regexp.QuoteMeta(name))
	nameSynced := calls.line(t, `fsync\(\d+<[^>]*/maildir/new>`)
	if !(text < textSynced && textSynced < named && named < nameSynced && nameSynced < reply) {
		t.Error("want the text written, synced, named, the name synced, then the reply")
		calls.log.show(t)
	}
}

// After a failed sync the system may forget what it could not write. So no sync is tried
// again, and no message is acknowledged until the operator has looked at the disk.
func TestFailedSyncOfTheMaildirDefersAllMail(t *testing.T) {
	p := start(t)
	deliverPlainly(t, p, 250)
	p.maildir().take(t)
	p.trace("-P", filepath.Join(p.data, "maildir", "new"), "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1")
	for range 3 {
		deliverPlainly(t, p, 451)
	}
	p.await(0, "level=ERROR", "cannot store message", "accepts no more files; check the disk and restart", "input/output error")
	for _, folder := range []string{"new", "tmp"} {
		if left := p.maildir().files(t, folder); len(left) > 0 {
			t.Errorf("left in %s/: %q", folder, left)
		}
	}
}

// deliverPlainly delivers a message without TLS, so that a trace shows the reply, and
// returns the name of its file.
func deliverPlainly(t *testing.T, p *postern, code int) (name string) {
	t.Helper()
	c, err := testsmtp.Dial(p.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello(); err != nil {
		t.Fatal(err)
	}
	reply, err := c.Deliver(newMessage("synced", 100))
	if err != nil || reply.Code != code {
		t.Fatalf("reply %s, %v, want %d", reply, err, code)
	}
	_, name, _ = strings.Cut(reply.String(), "stored as ")
	name, _, _ = strings.Cut(name, " ")
	return name
}

// A trace is the system calls of a process. The program goes on without it after end.
type trace struct {
	log *processLog
	end func()
}

// trace traces the program's system calls with strace and its arguments, until it ends.
func (p *postern) trace(args ...string) trace {
	p.t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		unavailable(p.t, "strace is not installed: run scripts/install-peers")
	}
	t := trace{log: newProcessLog()}
	cmd := exec.Command(strace, append([]string{"-f", "-p", strconv.Itoa(p.cmd.Process.Pid)}, args...)...)
	cmd.Stderr = t.log
	cmd.SysProcAttr = endsWithTests()
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	t.end = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	p.t.Cleanup(t.end)
	if _, err := t.log.await(0, "attached"); err != nil {
		p.t.Fatal(err)
	}
	return t
}

// line returns the number of the first line that matches, once it is there.
func (c trace) line(t *testing.T, pattern string) (number int) {
	t.Helper()
	matches := regexp.MustCompile(pattern).MatchString
	eventually(t, func() error {
		c.log.mu.Lock()
		defer c.log.mu.Unlock()
		if number = slices.IndexFunc(c.log.lines, matches); number < 0 {
			return fmt.Errorf("no call that matches %s", pattern)
		}
		return nil
	})
	return number
}
