package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestWriteFileReplacesTheWholeFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key.pem")
	for _, content := range []string{"a long first content", "short"} {
		if err := WriteFile(name, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != content {
			t.Errorf("read %q, %v, want %q", got, err, content)
		}
	}
	stat, err := os.Stat(name)
	if err != nil || stat.Mode().Perm() != 0o640 {
		t.Errorf("file: %v, %v, want mode 0640", stat, err)
	}
	expectAlone(t, dir)
}

func TestFailedWriteFileLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key.pem")
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(name, []byte("content"), 0o600); err == nil {
		t.Error("a file was put in place of a folder")
	}
	expectAlone(t, dir)
}

func expectAlone(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v, want one entry", entries, err)
	}
}

func TestMkdirAllCreatesMissingFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		if err := MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	stat, err := os.Stat(filepath.Dir(dir))
	if err != nil || stat.Mode().Perm() != 0o700 {
		t.Errorf("folder between: %v, %v, want mode 0700", stat, err)
	}
}

func TestMkdirAllLeavesExistingFolderAsItIs(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if stat, err := os.Stat(dir); err != nil || stat.Mode().Perm() != 0o750 {
		t.Errorf("folder found: %v, %v, want mode 0750", stat, err)
	}
}

func TestMkdirAllRejectsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if err := MkdirAll(dir, 0o700); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("MkdirAll(%s): %v, want ENOTDIR", dir, err)
		}
	}
}

func TestMkdirAllRejectsDanglingLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(link, "below"), 0o700); err == nil {
		t.Error("made a folder below a link to nowhere")
	}
}
