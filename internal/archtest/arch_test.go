// Package archtest checks that the code has the layers of docs/architecture.md, that
// documentation and comments name what exists, and that they use the glossary's words.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Deps       []string // all that it reaches, not only what it names
	Imports    []string
}

func list(t *testing.T) (ours []pkg, standard map[string]bool) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Deps,Imports", "postern/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	standard = make(map[string]bool)
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); err == io.EOF {
			return ours, standard
		} else if err != nil {
			t.Fatal(err)
		}
		standard[p.ImportPath] = p.Standard
		if strings.HasPrefix(p.ImportPath, "postern/") {
			ours = append(ours, p)
		}
	}
}

// public are the packages that we keep stable for others. They may use the
// standard library, each other, and leaves.
var public = []string{
	"postern/sessionticket", "postern/sessionticket/strictclient",
	"postern/handshake", "postern/handshake/keylog",
	"postern/interop", "postern/mtasts", "postern/tlsrpt",
}

// standalone are the public packages that use the standard library and leaves only.
var standalone = []string{"postern/sessionticket", "postern/handshake", "postern/sessionticket/strictclient"}

// leaves are internal packages that import the standard library only, so public
// packages may share them: taking one brings nothing else along.
var leaves = []string{"postern/internal/txtrecord", "postern/internal/safetext", "postern/internal/tlsrecord"}

// layers are the packages of docs/architecture.md, The layers, a line each: a package may
// import those below it only. Those of one line do not know each other.
func layers(t *testing.T) (lines [][]string) {
	t.Helper()
	_, drawing, _ := strings.Cut(read(t, filepath.Join(root, "docs/architecture.md")), "## The layers\n")
	_, drawing, _ = strings.Cut(drawing, "```\n")
	drawing, _, _ = strings.Cut(drawing, "```")
	for line := range strings.Lines(drawing) {
		var packages []string
		for _, word := range strings.Fields(line) {
			for _, path := range alternatives(word) {
				packages = append(packages, "postern/"+path)
			}
		}
		lines = append(lines, packages)
	}
	if len(lines) == 0 {
		t.Fatal("docs/architecture.md draws no layers")
	}
	return lines
}

// forTests are those that nothing but tests and benchmarks use.
var forTests = []string{
	"postern/internal/testcpu", "postern/internal/testdisk", "postern/internal/testfill", "postern/internal/testlog", "postern/internal/testsmtp",
	"postern/internal/archtest", "postern/test", "postern/bench", "postern/examples", "postern/scripts",
	"postern/docs",              // changes for others, tested
	"postern/internal/casedocs", // writes docs/cases for go generate
	"postern/internal/manpage",  // writes manual pages for make man
	"postern/internal/mutants",  // measures tests for make mutants
}

func TestPublicPackagesImportNoInternalOnes(t *testing.T) {
	ours, standard := list(t)
	for _, p := range ours {
		for _, dep := range p.Deps {
			if slices.Contains(leaves, p.ImportPath) && !standard[dep] {
				t.Errorf("%s is a leaf and reaches %s; it may use the standard library only", p.ImportPath, dep)
			}
			if standard[dep] || slices.Contains(leaves, dep) {
				continue
			}
			if slices.Contains(standalone, p.ImportPath) {
				t.Errorf("%s reaches %s; it may use the standard library and leaves only", p.ImportPath, dep)
			}
			if slices.Contains(public, p.ImportPath) && strings.HasPrefix(dep, "postern/internal/") {
				t.Errorf("%s is public and reaches %s, which is no leaf", p.ImportPath, dep)
			}
		}
	}
}

func TestPublicPackagesAreListed(t *testing.T) {
	ours, _ := list(t)
	for _, p := range ours {
		path := strings.TrimPrefix(p.ImportPath, "postern/")
		top, _, _ := strings.Cut(path, "/")
		if slices.Contains([]string{"internal", "cmd", "bench", "test", "examples", "scripts", "docs"}, top) {
			continue
		}
		if !slices.Contains(public, p.ImportPath) {
			t.Errorf("%s is outside internal/ and not in the list of public packages", p.ImportPath)
		}
	}
}

func TestArrowsPointDown(t *testing.T) {
	level := make(map[string]int)
	for i, line := range layers(t) {
		for _, path := range line {
			level[path] = i + 1
		}
	}
	ours, _ := list(t)
	for _, p := range ours {
		from := level[p.ImportPath]
		if from == 0 {
			if !slices.ContainsFunc(forTests, func(path string) bool { return strings.HasPrefix(p.ImportPath, path) }) {
				t.Errorf("%s has no place in the layers of docs/architecture.md: give it one", p.ImportPath)
			}
			continue
		}
		for _, dep := range p.Imports {
			if !strings.HasPrefix(dep, "postern/") {
				continue
			}
			if to := level[dep]; to <= from {
				t.Errorf("%s imports %s, which is not below it in docs/architecture.md", p.ImportPath, dep)
			}
		}
	}
}

// The daemon's binary has no test servers and no mail server library: they are for
// postern-lab and for tests.
func TestDaemonLinksNoTestServers(t *testing.T) {
	ours, _ := list(t)
	for _, p := range ours {
		if p.ImportPath != "postern/cmd/postern" {
			continue
		}
		for _, dep := range p.Deps {
			if slices.Contains([]string{
				"postern/internal/clientsim", "postern/internal/demo", "postern/internal/testpeer", "postern/internal/testcert", "postern/internal/testreport", "postern/internal/testzone", "github.com/emersion/go-smtp",
			}, dep) {
				t.Errorf("%s reaches %s", p.ImportPath, dep)
			}
		}
	}
}
