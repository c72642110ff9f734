package testpeer

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a server may take to end by itself when asked to.
const stopTimeout = 5 * time.Second

// daemon is a server program that runs until its test ends.
type daemon struct {
	name   string
	output string   // file of what it writes to its standard output and error
	logs   []string // files that explain a failure
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended

	stopOnce sync.Once
}

// startDaemon starts cmd in a session of its own, so that its children can be
// ended with it, and writes its output to a file in dir. Further log files are
// those that the program itself writes.
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
		_ = cmd.Wait() // how it ended stands in its logs
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

// stop asks the daemon to end, and kills what is left of its session, without
// waiting for that: whoever adopted those processes may take its time to say
// that they are gone. Only the first call acts: later the number may belong to
// another process.
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

// explain shows what the daemon logged last.
func (d *daemon) explain() string {
	text := d.name + " says:\n"
	for _, path := range d.logs {
		text += tail(path)
	}
	return text
}
