package oserror

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/testdisk"
)

func TestFullDisk(t *testing.T) {
	file := filepath.Join(testdisk.Mount(t, "size=4k"), "file")
	err := os.WriteFile(file, make([]byte, 64<<10), 0o600)
	if got, want := Text(err), "no space left on the disk of "+file; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Remedy(err); !strings.Contains(got, "df -i") {
		t.Errorf("got the remedy %q", got)
	}
}

// Even root may not change the mode of a file in /proc.
func TestNoPermission(t *testing.T) {
	err := os.Chmod("/proc/self/status", 0)
	if got, want := Text(err), "no permission for /proc/self/status"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Remedy(err); !strings.Contains(got, "namei -l") {
		t.Errorf("got the remedy %q", got)
	}
}
