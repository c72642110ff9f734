package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"postern/internal/testdisk"
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
	for _, dir := range []string{link, filepath.Join(link, "below")} {
		if err := MkdirAll(dir, 0o700); err == nil {
			t.Errorf("MkdirAll(%s) made a folder at a link to nowhere", dir)
		}
	}
}

func TestMkdirAllOfRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := MkdirAll(filepath.Join("a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if stat, err := os.Stat("a/b"); err != nil || !stat.IsDir() {
		t.Errorf("a/b: %v, %v", stat, err)
	}
}

// Two programs may create a folder at the same time.
func TestConcurrentMkdirAllSucceeds(t *testing.T) {
	for range 20 {
		dir := filepath.Join(t.TempDir(), "a")
		begin := make(chan struct{})
		var makers sync.WaitGroup
		for range 8 {
			makers.Go(func() {
				<-begin
				if err := MkdirAll(dir, 0o700); err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		makers.Wait()
	}
}

func TestWriteFileReportsMissingFolder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "missing", "key.pem")
	if err := WriteFile(name, nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile: %v, want not found", err)
	}
}

func TestWriteFileToAFullDiskKeepsTheOldContent(t *testing.T) {
	dir := testdisk.Mount(t, "size=64k")
	name := filepath.Join(dir, "key.pem")
	if err := WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(name, make([]byte, 100<<10), 0o600)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), name) {
		t.Errorf("WriteFile: %v, want that the disk is full, and the name", err)
	}
	if content, err := os.ReadFile(name); err != nil || string(content) != "old" {
		t.Errorf("the file has %d bytes, %v; want the old content", len(content), err)
	}
	expectAlone(t, dir)
}

// The errors of an os.Root have the path within it only.
func TestErrorsNameTheWholePath(t *testing.T) {
	dir := testdisk.Mount(t, "size=64k")
	testdisk.Remount(t, dir, syscall.MS_RDONLY, "")
	for call, err := range map[string]error{
		"WriteFile": WriteFile(filepath.Join(dir, "key.pem"), nil, 0o600),
		"MkdirAll":  MkdirAll(filepath.Join(dir, "key.pem"), 0o600),
	} {
		if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), " "+dir+"/") {
			t.Errorf("%s: %v, want that the file system is read-only, and the path", call, err)
		}
	}
}
