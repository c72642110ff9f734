package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// goFiles returns a package's import path and the files of it, without tests, that are
// built here.
func goFiles(pattern string) (importPath string, paths []string, err error) {
	out, err := exec.Command("go", "list", "-json=Dir,ImportPath,GoFiles", pattern).Output()
	if err != nil {
		return "", nil, fmt.Errorf("go list %s: %w", pattern, withStderr(err))
	}
	var listed struct {
		Dir, ImportPath string
		GoFiles         []string
	}
	if err := json.Unmarshal(out, &listed); err != nil {
		return "", nil, err
	}
	for _, name := range listed.GoFiles {
		paths = append(paths, filepath.Join(listed.Dir, name))
	}
	return listed.ImportPath, paths, nil
}

func withStderr(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

// An outcome says what became of a change.
type outcome int

const (
	notBuilt outcome = iota // it doesn't compile: no change at all
	noticed                 // a test failed, or didn't end
	survived                // every test passed
)

// A bench tries the changes of one package. The tree stays as it is: changed files reach
// the build by go's -overlay.
type bench struct {
	importPath string
	also       []string // packages whose tests are run when the package's own have passed
	folder     string   // for the changed file
	timeout    time.Duration
}

// memory bounds each process of a trial: a change can make a loop that allocates for ever.
const memory = 8 << 30

// newBench runs the tests unchanged, which must pass, to learn how long they take.
func newBench(importPath string, also []string, folder string) (*bench, error) {
	b := &bench{importPath: importPath, also: also, folder: folder, timeout: 10 * time.Minute}
	start := time.Now()
	for _, pkg := range append([]string{importPath}, also...) {
		if output, ok := b.test(pkg, ""); !ok {
			return nil, fmt.Errorf("the tests of %s fail without any change:\n%s", pkg, output)
		}
	}
	b.timeout = 10*time.Second + 5*time.Since(start)
	return b, nil
}

func (b *bench) try(c change) (outcome, error) {
	changed := filepath.Join(b.folder, "changed.go")
	if err := os.WriteFile(changed, c.apply(), 0o600); err != nil {
		return 0, err
	}
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {c.path: changed}})
	if err != nil {
		return 0, err
	}
	overlay := filepath.Join(b.folder, "overlay.json")
	if err := os.WriteFile(overlay, replaced, 0o600); err != nil {
		return 0, err
	}
	if _, ok := b.run("go", "build", "-overlay", overlay, b.importPath); !ok {
		return notBuilt, nil
	}
	for _, pkg := range append([]string{b.importPath}, b.also...) {
		if _, ok := b.test(pkg, overlay); !ok {
			return noticed, nil
		}
	}
	return survived, nil
}

func (b *bench) test(pkg, overlay string) (output string, ok bool) {
	return b.run("go", "test", "-overlay", overlay, "-count=1", "-failfast", "-vet=off", "-timeout", b.timeout.String(), pkg)
}

func (b *bench) run(name string, args ...string) (output string, ok bool) {
	// go test ends what exceeds its -timeout; this is for what it can't end.
	ctx, cancel := context.WithTimeout(context.Background(), 2*b.timeout+time.Minute)
	defer cancel()
	limited := append([]string{"-c", `ulimit -v "$0"; exec "$@"`, strconv.Itoa(memory >> 10), name}, args...)
	cmd := exec.CommandContext(ctx, "sh", limited...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}
