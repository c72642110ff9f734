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

// programs are folders that are searched before PATH.
type programs []string

// serverDirs have servers that may not be in PATH.
var serverDirs = []string{"/usr/sbin", "/usr/local/sbin", postfixDir}

// postfixDir has Postfix's master. Its smtpd is not OpenSMTPD's.
const postfixDir = "/usr/lib/postfix/sbin"

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
		if dir == postfixDir && name != "master" {
			continue
		}
		if path, err := executable(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s not found", name)
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
		// Only dir can make the pattern invalid; then nothing matches.
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

// all returns the program in each folder that has it, or else from PATH.
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

// versionTimeout bounds a program that prints its version.
const versionTimeout = 10 * time.Second

// version returns the first version number that a program prints, or an empty string.
func version(ctx context.Context, path string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	output, _ := exec.CommandContext(ctx, path, args...).CombinedOutput() // some print it and fail
	return versionNumber.FindString(string(output))
}

// maxReason bounds what is shown of a program's last output, in characters.
const maxReason = 300

// reason returns an error in one line: its first line, and the last of a program's log, which
// may follow.
func reason(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	text := strings.TrimPrefix(lines[0], "testpeer: ")
	if last := len(lines) - 1; last > 0 {
		text += " " + lines[last]
	}
	return safetext.Shorten(text, maxReason)
}
