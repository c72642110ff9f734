package testpeer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// programDirs are searched after PATH: Debian's folders for servers, and the one into which
// scripts/install-peers unpacks Exim.
var programDirs = []string{
	"/usr/sbin",
	"/usr/local/sbin",
	"/usr/lib/postfix/sbin",
	filepath.Join(moduleRoot(), ".cache/exim4/usr/sbin"),
}

// program returns the path of the program called name, or ends the test.
func program(t T, name string) string {
	t.Helper()
	if path, ok := scopeProgram(t, name); ok {
		return path
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range programDirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	unavailable(t, "%s is not installed: run scripts/install-peers", name)
	return ""
}

// scopeProgram returns the path of a program if t is a Scope with a find function.
func scopeProgram(t T, name string) (path string, ok bool) {
	t.Helper()
	s, ok := t.(*Scope)
	if !ok || s.find == nil {
		return "", false
	}
	path, err := s.find(name)
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	return path, true
}

// requireRoot ends the test unless it runs as root, which the program called name needs.
func requireRoot(t T, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "%s starts only as root", name)
	}
}

// unavailable ends a test whose program is missing: it fails under CI=true, where all programs
// have to be installed, and skips elsewhere.
func unavailable(t T, format string, args ...any) {
	t.Helper()
	reason := "testpeer: " + fmt.Sprintf(format, args...)
	if s, ok := t.(interface{ Skipf(string, ...any) }); ok && os.Getenv("CI") != "true" {
		s.Skipf("%s", reason)
	}
	t.Fatalf("%s", reason)
}

// moduleRoot is the nearest parent folder with a go.mod. A test runs in its package's folder.
func moduleRoot() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "."
		}
		dir = parent
	}
}
