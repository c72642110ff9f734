package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/smtp"
	"postern/internal/testsmtp"
)

// A postern is the program under test.
type postern struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *processLog
	data  string // the folder of --data
	addr  string // of the SMTP listener
	ended bool   // by the test, which has checked how
}

// start runs `postern serve` with args, on a free port, with an empty data folder, for the
// domain localhost. It ends with the test, with exit status 0.
func start(t *testing.T, args ...string) *postern {
	t.Helper()
	return startWith(t, t.TempDir(), args...)
}

// startWith is like start, with an existing data folder.
func startWith(t *testing.T, data string, args ...string) *postern {
	t.Helper()
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--hostname", "mx.test", "--domain", "localhost", "--data", data, "--dashboard", "off", "--metrics", "off"}, args...)
	if !slices.Contains(args, "--config") { // the machine may have a configuration
		args = append(args, "--config", os.DevNull)
	}
	p := launch(t, "", args...)
	p.data = data
	p.addr = p.awaitAddress()
	return p
}

// launch runs the program in the folder dir and does not wait for anything.
func launch(t *testing.T, dir string, args ...string) *postern {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	return launchCommand(t, cmd)
}

// launchCommand runs a command that becomes the program.
func launchCommand(t *testing.T, cmd *exec.Cmd) *postern {
	t.Helper()
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	p := &postern{t: t, cmd: cmd, log: newProcessLog()}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = endsWithTests()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting postern: %v", err)
	}
	go func() {
		_ = p.cmd.Wait() // awaitExit and terminate check its state
		close(p.log.over)
	}()
	t.Cleanup(p.finish)
	return p
}

// finish ends the program at the end of its test.
func (p *postern) finish() {
	if !p.ended {
		p.terminate()
	}
	if p.log.count("WARNING: DATA RACE") > 0 {
		p.t.Error("the race detector found a data race in postern")
	}
	if p.t.Failed() {
		p.log.show(p.t)
	}
}

// address matches the listen address in what postern prints.
var address = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

func (p *postern) awaitAddress() string {
	p.t.Helper()
	return address.FindString(p.await(0, "  listens on ", "127.0.0.1:"))
}

// await waits for a line of output, from the given one on, that contains all words.
func (p *postern) await(from int, words ...string) string {
	p.t.Helper()
	line, err := p.log.await(from, words...)
	if err != nil {
		p.t.Fatal(err)
	}
	return line
}

func (p *postern) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("signal %v to postern: %v", s, err)
	}
}

// terminate sends SIGTERM and checks that the program ends with status 0, and without
// closing a session within a message.
func (p *postern) terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.awaitExit()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("postern ended with %v after SIGTERM, want exit status 0", p.cmd.ProcessState)
	}
	if _, n, _ := p.log.find(0, "msg=stopped"); n == 0 {
		p.t.Error("postern did not shut down gracefully after SIGTERM")
	}
}

// kill sends SIGKILL.
func (p *postern) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.awaitExit()
}

// awaitExit waits until the program has ended.
func (p *postern) awaitExit() {
	p.t.Helper()
	p.ended = true
	select {
	case <-p.log.over:
	case <-time.After(patience):
		p.t.Errorf("postern has not ended after %v", patience)
		_ = p.cmd.Process.Signal(syscall.SIGABRT) // prints its goroutines
		<-p.log.over
	}
}

// awaitSessions waits until n sessions have ended in the log.
func (p *postern) awaitSessions(n int) {
	p.t.Helper()
	if err := p.log.awaitCount(n, "msg=session"); err != nil {
		p.t.Error(err)
	}
}

// endsWithTests makes a child end when the tests die without running their cleanups.
func endsWithTests() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// patience is how long a test waits for an event. A busy machine needs less.
const patience = 90 * time.Second

// A processLog keeps the output of a program, line by line.
type processLog struct {
	mu      sync.Mutex
	lines   []string
	partial []byte
	changed chan struct{} // closed at the next change
	over    chan struct{} // closed when the program has ended
}

func newProcessLog() *processLog {
	return &processLog{changed: make(chan struct{}), over: make(chan struct{})}
}

// Write appends to the output.
func (j *processLog) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.partial = append(j.partial, p...)
	for {
		line, rest, ended := bytes.Cut(j.partial, []byte("\n"))
		if !ended {
			break
		}
		j.lines = append(j.lines, string(line))
		j.partial = rest
	}
	close(j.changed)
	j.changed = make(chan struct{})
	return len(p), nil
}

// length returns the number of lines so far, for await.
func (j *processLog) length() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.lines)
}

// find returns the first line, from the given one on, that contains all words, how many
// do, and a channel that is closed when that may change.
func (j *processLog) find(from int, words ...string) (first string, count int, changed <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines[min(from, len(j.lines)):] {
		if containsAll(line, words) {
			if count == 0 {
				first = line
			}
			count++
		}
	}
	return first, count, j.changed
}

func containsAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}

// all returns the lines that contain all words.
func (j *processLog) all(words ...string) (found []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if containsAll(line, words) {
			found = append(found, line)
		}
	}
	return found
}

// count returns the number of lines that contain all words.
func (j *processLog) count(words ...string) int {
	_, n, _ := j.find(0, words...)
	return n
}

// await waits for a line, from the given one on, that contains all words.
func (j *processLog) await(from int, words ...string) (string, error) {
	return j.awaitLines(from, 1, words...)
}

// awaitCount waits for n lines that contain all words.
func (j *processLog) awaitCount(n int, words ...string) error {
	_, err := j.awaitLines(0, n, words...)
	return err
}

func (j *processLog) awaitLines(from, n int, words ...string) (string, error) {
	deadline := time.After(patience)
	for {
		first, count, changed := j.find(from, words...)
		if count >= n {
			return first, nil
		}
		select {
		case <-changed:
		case <-j.over:
			return "", fmt.Errorf("the program ended with %d of %d lines with %q", count, n, words)
		case <-deadline:
			return "", fmt.Errorf("%d of %d lines with %q after %v", count, n, words, patience)
		}
	}
}

// loggedAt returns the time of a line of Postern's log.
func loggedAt(t *testing.T, line string) time.Time {
	t.Helper()
	word, _, _ := strings.Cut(line, " ")
	at, err := time.Parse("time="+time.RFC3339, word)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

// maxShown is the number of lines that a failed test shows.
const maxShown = 200

// show logs the last lines of the output.
func (j *processLog) show(t *testing.T) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	from := max(0, len(j.lines)-maxShown)
	t.Logf("output of postern (%d earlier lines left out):\n%s\n%s", from, strings.Join(j.lines[from:], "\n"), j.partial)
}

// deliver delivers one message over STARTTLS, on its own connection.
func (p *postern) deliver(t *testing.T, m testsmtp.Message) smtp.Reply {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, "", testsmtp.OpportunisticTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reply, err := c.Deliver(m)
	if err != nil {
		t.Fatalf("delivering: %v", err)
	}
	if err := c.Expect("QUIT\r\n", 221); err != nil {
		t.Error(err)
	}
	return reply
}
