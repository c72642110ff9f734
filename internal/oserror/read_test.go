//go:build unix

package oserror

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A server that waited for a pipe at SIGHUP would not even hear SIGTERM.
func TestReadFileNeverWaitsNorReadsWithoutEnd(t *testing.T) {
	dir := t.TempDir()
	pipe, large, exact := filepath.Join(dir, "pipe"), filepath.Join(dir, "large"), filepath.Join(dir, "exact")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, size := range map[string]int{large: 1<<20 + 1, exact: 1 << 20} {
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		pipe:        pipe + " is a pipe or device, not a file",
		"/dev/zero": "/dev/zero is a pipe or device, not a file",
		large:       large + " has more than 1 MiB",
		dir:         dir + " is a folder, not a file",
		dir + "/no": dir + "/no does not exist",
	} {
		if content, err := ReadFile(file); err == nil || Text(err) != want || Remedy(err) == "" {
			t.Errorf("%s: got %d bytes and %v, want %s", file, len(content), err, want)
		}
	}
	if content, err := ReadFile(exact); err != nil || len(content) != 1<<20 {
		t.Errorf("got %d bytes and %v of a file of 1 MiB", len(content), err)
	}
	if content, err := ReadLargeFile(large); err != nil || len(content) != 1<<20+1 {
		t.Errorf("got %d bytes and %v of a larger file that may be so", len(content), err)
	}
	if _, err := read(large, 1<<20, errMuchTooLarge); err == nil || Text(err) != large+" has more than 256 MiB" || Remedy(err) == "" {
		t.Errorf("got %v of a file that is larger than it may be", err)
	}
}
