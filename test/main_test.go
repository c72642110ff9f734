// Package test has the end-to-end tests: they run the postern program as a child process,
// together with the mail programs of [postern/internal/testpeer].
//
// Each file is a story: a test starts what it needs, delivers mail, and checks the files,
// the log, and the replies that senders got. No test sleeps to wait for something: it
// waits for the event itself, and fails after a time that no busy machine needs. A test
// that fails shows Postern's log.
//
// POSTERN_LONG=1 makes the crash test ten times as long, and shows a fleet with every fault.
package test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// program and labProgram are the paths of the postern and postern-lab binaries.
var program, labProgram string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "postern-stories")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program, labProgram = filepath.Join(dir, "postern"), filepath.Join(dir, "postern-lab")
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Tests that run in parallel mostly wait.
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Otherwise each program with the race detector waits for a second when it exits.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	mark, goroutines := markChildren(), runtime.NumGoroutine()
	code := m.Run()
	if code == 0 {
		if err := errors.Join(checkProcesses(mark), checkGoroutines(goroutines)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// commands are what is built.
var commands = []string{"postern/cmd/postern", "postern/cmd/postern-lab"}

// build builds the programs into dir.
func build(dir string) error {
	_, err := goTool(slices.Concat([]string{"build"}, testFlags(), []string{"-o", dir}, commands)...)
	return err
}

// testFlags are the flags that the tests were built with: with the race detector or without it.
func testFlags() (flags []string) {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" || s.Key == "-gcflags" {
			flags = append(flags, s.Key+"="+s.Value)
		}
	}
	return flags
}

// noteSources reads the folders of the program's packages, so that go test knows that a
// test depends on them: otherwise it would show a cached result for a program that has
// changed since. go test notices only what is read while tests run.
var noteSources = sync.OnceValue(func() error {
	os.Getenv("GOFLAGS")
	list := []string{"list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.Dir}}{{end}}{{end}}"}
	folders, err := goTool(append(list, commands...)...)
	for _, folder := range strings.Fields(folders) {
		_, unread := os.ReadDir(folder)
		err = errors.Join(err, unread)
	}
	return err
})

// goTool runs the go command and returns what it prints.
func goTool(args ...string) (string, error) {
	output, err := exec.Command("go", args...).Output()
	if err != nil {
		said := []byte(nil)
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			said = exit.Stderr
		}
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, said)
	}
	return string(output), nil
}

// childMark is a variable in the environment of everything that is started here.
const childMark = "POSTERN_STORIES"

func markChildren() string {
	mark := strconv.Itoa(os.Getpid())
	os.Setenv(childMark, mark)
	return childMark + "=" + mark
}

// checkProcesses returns an error for each process that still runs with mark in its
// environment. Without /proc it finds none.
func checkProcesses(mark string) error {
	var left []error
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range paths {
		environ, err := os.ReadFile(path)
		if err == nil && strings.Contains("\x00"+string(environ), "\x00"+mark+"\x00") {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
			left = append(left, fmt.Errorf("a process is still running after the tests: %s", command))
		}
	}
	return errors.Join(left...)
}

// checkGoroutines waits until no more goroutines run than before the tests.
func checkGoroutines(before int) error {
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			return fmt.Errorf("goroutines are still running after the tests:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
	return nil
}
