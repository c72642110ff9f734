package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A listed package, as go list prints it.
type listed struct {
	Dir, ImportPath, Name string
	GoFiles               []string // without tests, those that are built here
}

func list(pattern string) (p listed, err error) {
	out, err := exec.Command("go", "list", "-json=Dir,ImportPath,Name,GoFiles", pattern).Output()
	if err != nil {
		return p, fmt.Errorf("go list %s: %w", pattern, withStderr(err))
	}
	return p, json.Unmarshal(out, &p)
}

func withStderr(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

// A bench tries the changes of one package. The tree stays as it is: changed files reach
// the build by go's -overlay.
type bench struct {
	changed listed
	tested  []listed // the packages whose tests are run, in this order
	folder  string   // for what is built
	timeout time.Duration
	built   int
}

// memory bounds each process of a trial: a change can make a loop that allocates for ever.
const memory = 8 << 30

// newBench runs the tests unchanged, which must pass, to learn how long they take. It
// leaves out the packages of also that don't use the changed one.
func newBench(changed listed, also []string, folder string) (*bench, error) {
	b := &bench{changed: changed, tested: []listed{changed}, folder: folder, timeout: 10 * time.Minute}
	for _, pattern := range also {
		p, err := list(pattern)
		if err != nil {
			return nil, err
		}
		b.tested = append(b.tested, p)
	}
	programs, broken, err := b.build(b.choosing(nil))
	if err != nil {
		return nil, err
	}
	if broken != "" {
		return nil, errors.New(broken)
	}
	b.tested = nil
	start := time.Now()
	for _, p := range programs {
		if !p.chooses { // it doesn't contain the package
			continue
		}
		b.tested = append(b.tested, p.of)
		if output, ok, err := b.run(p, 0); err != nil {
			return nil, err
		} else if !ok {
			return nil, fmt.Errorf("the tests of %s fail without any change:\n%s", p.of.ImportPath, output)
		}
	}
	b.timeout = 10*time.Second + 5*time.Since(start)
	return b, nil
}

// A trial is a change and the test programs that contain it.
type trial struct {
	change
	number   int // chooses it; 0 if there is no choice
	programs []program
}

// A program is a compiled test.
type program struct {
	of      listed
	path    string
	chooses bool // between the changes that it contains
}

// prepare builds the changes. Those that don't compile are no changes at all, and get no
// trial.
func (b *bench) prepare(changes []change) ([]trial, error) {
	hosted := make(map[int]change)
	alone := make(map[int][]program)
	for i, c := range changes {
		if c.host != nil {
			hosted[i+1] = c
			continue
		}
		programs, broken, err := b.build(map[string][]byte{c.path: c.apply()})
		if err != nil {
			return nil, err
		}
		if broken == "" {
			alone[i+1] = programs
		}
	}
	shared, err := b.buildTogether(hosted)
	if err != nil {
		return nil, err
	}
	for _, p := range shared {
		if output, ok, err := b.run(p, 0); err != nil {
			return nil, err
		} else if !ok {
			return nil, fmt.Errorf("the tests of %s fail with copies for changes, none of which is chosen:\n%s", p.of.ImportPath, output)
		}
	}
	var trials []trial
	for i, c := range changes {
		if _, ok := hosted[i+1]; ok {
			trials = append(trials, trial{c, i + 1, shared})
		} else if programs, ok := alone[i+1]; ok {
			trials = append(trials, trial{c, 0, programs})
		}
	}
	return trials, nil
}

var inCopy = regexp.MustCompile(`\bmutant([0-9]+):[0-9]`)

// buildTogether removes the changes that don't compile.
func (b *bench) buildTogether(changes map[int]change) ([]program, error) {
	for len(changes) > 0 {
		programs, broken, err := b.build(b.choosing(changes))
		if err != nil || broken == "" {
			return programs, err
		}
		before := len(changes)
		for _, match := range inCopy.FindAllStringSubmatch(broken, -1) {
			number, _ := strconv.Atoi(match[1])
			delete(changes, number)
		}
		if len(changes) == before {
			return nil, fmt.Errorf("copies for each change don't compile:\n%s", broken)
		}
	}
	return nil, nil
}

// choosing returns changed files of the package, and one more that says which change is
// chosen. The choice is in the program itself, where it reaches programs that tests start,
// whatever their environment.
func (b *bench) choosing(changes map[int]change) map[string][]byte {
	files := together(changes)
	files[filepath.Join(b.changed.Dir, "chosen_mutant.go")] = fmt.Appendf(nil,
		"package %s\n\nimport \"strconv\"\n\nvar chosenMutantText = %q\n\nvar chosenMutant, _ = strconv.Atoi(chosenMutantText[%d:])\n",
		b.changed.Name, choice(0), len(choicePrefix))
	return files
}

const choicePrefix = "chosen mutant: "

// choice is the text in a program that chooses a change. It has the same length for each.
func choice(number int) string { return fmt.Sprintf(choicePrefix+"%06d", number) }

// build builds the tests with the changed files. If they don't compile, it returns what the
// compiler says.
func (b *bench) build(files map[string][]byte) (programs []program, broken string, err error) {
	b.built++
	folder := filepath.Join(b.folder, strconv.Itoa(b.built))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, "", err
	}
	replace := make(map[string]string)
	for path, content := range files {
		replace[path] = filepath.Join(folder, filepath.Base(path))
		if err := os.WriteFile(replace[path], content, 0o600); err != nil {
			return nil, "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, "", err
	}
	overlayPath := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(overlayPath, overlay, 0o600); err != nil {
		return nil, "", err
	}
	for i, tested := range b.tested {
		p := program{of: tested, path: filepath.Join(folder, fmt.Sprintf("%d.test", i))}
		// -e: every error, not only ten. -w: nothing for debuggers, which takes time.
		output, ok, err := b.exec(".", "go", "test", "-c", "-o", p.path, "-overlay", overlayPath,
			"-vet=off", "-gcflags=-e", "-ldflags=-w", tested.ImportPath)
		if err != nil {
			return nil, "", err
		}
		if !ok {
			return nil, output, nil
		}
		content, err := os.ReadFile(p.path)
		if err != nil {
			return nil, "", fmt.Errorf("%s has no tests: %w", tested.ImportPath, err)
		}
		p.chooses = bytes.Contains(content, []byte(choice(0)))
		programs = append(programs, p)
	}
	return programs, "", nil
}

// discard removes what the trials needed.
func discard(trials []trial) error {
	for _, t := range trials {
		for _, p := range t.programs {
			if err := os.RemoveAll(filepath.Dir(p.path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// try runs trials, as many at once as there are processors, and reports each, one at a
// time: a change is noticed if a test fails or doesn't end.
func (b *bench) try(trials []trial, report func(c change, noticed bool)) error {
	var (
		all    sync.WaitGroup
		one    sync.Mutex
		failed error
	)
	running := make(chan struct{}, runtime.NumCPU())
	for _, t := range trials {
		running <- struct{}{}
		all.Go(func() {
			passed, err := b.pass(t)
			one.Lock()
			defer one.Unlock()
			if err != nil {
				failed = err
			} else {
				report(t.change, !passed)
			}
			<-running
		})
	}
	all.Wait()
	return failed
}

func (b *bench) pass(t trial) (passed bool, err error) {
	for _, p := range t.programs {
		if _, passed, err := b.run(p, t.number); err != nil || !passed {
			return false, err
		}
	}
	return true, nil
}

// run runs a test program with the change of a number; 0 chooses none.
func (b *bench) run(p program, number int) (output string, ok bool, err error) {
	path := p.path
	if number > 0 {
		path = fmt.Sprintf("%s.%d", p.path, number)
		if err := p.writeChoosing(number, path); err != nil {
			return "", false, err
		}
		defer os.Remove(path)
	}
	// Tests wait more than they compute.
	return b.exec(p.of.Dir, path, "-test.failfast", "-test.parallel=8", "-test.paniconexit0", "-test.timeout="+b.timeout.String())
}

func (p program) writeChoosing(number int, path string) error {
	content, err := os.ReadFile(p.path)
	if err != nil {
		return err
	}
	// A process that is started meanwhile would keep the file open, which can't be executed then.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, bytes.ReplaceAll(content, []byte(choice(0)), []byte(choice(number))), 0o700)
}

func (b *bench) exec(folder, name string, args ...string) (output string, ok bool, err error) {
	// A test ends itself after its timeout; this is for what can't.
	ctx, cancel := context.WithTimeout(context.Background(), 2*b.timeout+time.Minute)
	defer cancel()
	limited := append([]string{"-c", `ulimit -v "$0"; exec "$@"`, strconv.Itoa(memory >> 10), name}, args...)
	cmd := exec.CommandContext(ctx, "sh", limited...)
	cmd.Dir = folder
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() != notExecuted || errors.Is(err, exec.ErrWaitDelay) || ctx.Err() != nil {
		return string(out), false, nil
	}
	return string(out), err == nil, err
}

// notExecuted is the exit code of sh for a file that it can't execute.
const notExecuted = 126
