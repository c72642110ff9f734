package clientsim

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"postern/internal/safetext"
)

// programs are the folders to look in before PATH.
type programs []string

// serverDirs are where servers are that PATH may not lead to.
var serverDirs = []string{"/usr/sbin", "/usr/local/sbin", "/usr/lib/postfix/sbin"}

// find returns the absolute path of a program.
func (p programs) find(name string) (path string, err error) {
	for _, dir := range p {
		if path, err := executable(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range serverDirs {
		if path, err := executable(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not found", name)
}

func executable(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return exec.LookPath(path)
}

// versions returns the programs NAME-VERSION in the folders, by version.
func (p programs) versions(name string) (paths []string) {
	for _, dir := range p {
		// The pattern has no syntax error but in dir; then there is nothing to be found.
		matches, _ := filepath.Glob(filepath.Join(dir, name+"-*"))
		for _, match := range matches {
			if path, err := executable(match); err == nil {
				paths = append(paths, path)
			}
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int {
		return strings.Compare(filepath.Base(a), filepath.Base(b))
	})
	return paths
}

// all returns a program in each of the folders that has it, or else where it is found.
func (p programs) all(name string) (paths []string) {
	for _, dir := range p {
		if path, err := executable(filepath.Join(dir, name)); err == nil {
			paths = append(paths, path)
		}
	}
	if path, err := p.find(name); err == nil && paths == nil {
		paths = append(paths, path)
	}
	return paths
}

var versionNumber = regexp.MustCompile(`\bv?[0-9]+(\.[0-9]+)+[0-9A-Za-z.+~-]*`)

// versionTime is how long a program may take to tell its version.
const versionTime = 10 * time.Second

// version returns the first version number that a program says, empty if it says none.
func version(ctx context.Context, path string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	output, _ := exec.CommandContext(ctx, path, args...).CombinedOutput() // some say it and fail
	return versionNumber.FindString(string(output))
}

// maxReason bounds what is shown of a program's last output, in characters.
const maxReason = 300

// reason is an error in one line: what it says at first, and what a program's log, which
// may follow that, says at last.
func reason(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	text := strings.TrimPrefix(lines[0], "testpeer: ")
	if last := len(lines) - 1; last > 0 {
		text += " " + lines[last]
	}
	return safetext.Shorten(text, maxReason)
}
