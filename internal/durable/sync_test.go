package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Killing a process keeps what the system has in memory, so a missing fsync shows only
// after a power cut, or here.

func TestWriteFileSyncsContentThenName(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key.pem")
	if err := WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	syncs := watchSyncs(t, func(n int, f *os.File) {
		content, err := os.ReadFile(name)
		stat, _ := f.Stat()
		switch {
		case err != nil:
			t.Error(err)
		case n == 1 && !strings.HasPrefix(f.Name(), filepath.Join(dir, ".key.pem.")):
			t.Errorf("the content is in %s, want a hidden file beside the old one", f.Name())
		case n == 1 && (stat.Size() != int64(len("content")) || stat.Mode() != 0o640 || string(content) != "old"):
			t.Errorf("first sync of %v while the name has %q, want the content, complete, and the old one still there", stat, content)
		case n == 2 && (!isAt(f, dir) || string(content) != "content"):
			t.Errorf("second sync of %s while the name has %q, want the folder with the new one", f.Name(), content)
		}
	})
	if err := WriteFile(name, []byte("content"), 0o640); err != nil {
		t.Fatal(err)
	}
	if *syncs != 2 {
		t.Errorf("%d syncs, want 2", *syncs)
	}
}

func TestMkdirAllSyncsTheParentOfEachFolder(t *testing.T) {
	top := t.TempDir()
	a, b, c := filepath.Join(top, "a"), filepath.Join(top, "a", "b"), filepath.Join(top, "a", "b", "c")
	var synced []string // folders whose name was in a synced parent
	watchSyncs(t, func(_ int, f *os.File) {
		for _, dir := range []string{a, b, c} {
			if _, err := os.Stat(dir); err == nil && isAt(f, filepath.Dir(dir)) {
				synced = append(synced, dir)
			}
		}
	})
	if err := MkdirAll(c, 0o700); err != nil {
		t.Fatal(err)
	}
	if want := []string{a, b, c}; !slices.Equal(synced, want) {
		t.Errorf("synced the names of %q, want %q", synced, want)
	}
	// The process that created it may have died before its sync.
	synced = nil
	if err := MkdirAll(c, 0o700); err != nil {
		t.Fatal(err)
	}
	if want := []string{c}; !slices.Equal(synced, want) {
		t.Errorf("of a folder that exists, synced the names of %q, want %q", synced, want)
	}
}

// The name of the folder that a link leads to is in another folder than the link.
func TestMkdirAllSyncsWhereALinkLeads(t *testing.T) {
	elsewhere, dir := filepath.Join(t.TempDir(), "disk"), filepath.Join(t.TempDir(), "data")
	if err := errors.Join(os.Mkdir(elsewhere, 0o700), os.Symlink(elsewhere, dir)); err != nil {
		t.Fatal(err)
	}
	syncs := watchSyncs(t, func(_ int, f *os.File) {
		if !isAt(f, filepath.Dir(elsewhere)) {
			t.Errorf("synced %s, want the folder of %s", f.Name(), elsewhere)
		}
	})
	if err := MkdirAll(dir, 0o700); err != nil || *syncs != 1 {
		t.Errorf("%v after %d syncs, want one", err, *syncs)
	}
}

func TestOpenFolderSyncsItAndItsName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var synced []bool
	watchSyncs(t, func(_ int, f *os.File) {
		synced = append(synced, isAt(f, dir), isAt(f, filepath.Dir(dir)))
	})
	f, err := OpenFolder(dir, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if want := []bool{true, false, false, true}; !slices.Equal(synced, want) {
		t.Errorf("syncs of the folder and its parent: %v, want one of each", synced)
	}
}

func TestCommitSyncsContentThenName(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
		f := s.create(t, "one")
		mustWrite(t, f, "text")
		syncs := watchSyncs(t, func(n int, synced *os.File) {
			_, missing := os.Stat(filepath.Join(s.in, "mail"))
			switch n {
			case 1:
				if synced != f.file || missing == nil {
					t.Errorf("first sync of %s, name missing: %v; want the file, before it has its name", synced.Name(), missing)
				}
			case 2:
				if !isAt(synced, s.in) || missing != nil {
					t.Errorf("second sync of %s, name missing: %v; want the folder with the name", synced.Name(), missing)
				}
				s.expect(t, s.tmp, nil)
			}
		})
		if err := f.Commit("mail"); err != nil {
			t.Fatal(err)
		}
		if *syncs != 2 {
			t.Errorf("%d syncs, want 2", *syncs)
		}
	})
}

// Each call fails at each of its syncs in turn.
func TestEveryFailedSyncIsReported(t *testing.T) {
	calls := map[string]func(t *testing.T, dir string) error{
		"WriteFile": func(_ *testing.T, dir string) error {
			return WriteFile(filepath.Join(dir, "file"), []byte("new"), 0o600)
		},
		"MkdirAll":                    func(_ *testing.T, dir string) error { return MkdirAll(filepath.Join(dir, "a", "b"), 0o700) },
		"MkdirAll of one that exists": func(_ *testing.T, dir string) error { return MkdirAll(dir, 0o700) },
		"OpenFolder": func(t *testing.T, dir string) error {
			f, err := OpenFolder(dir, dir)
			if err == nil {
				t.Cleanup(func() { f.Close() })
			}
			return err
		},
		"Commit": func(t *testing.T, dir string) error {
			f, err := OpenFolder(dir, dir)
			if err != nil {
				return err
			}
			defer f.Close()
			file, err := f.Create("staged", 0o600)
			if err != nil {
				return err
			}
			return file.Commit("file")
		},
	}
	want := map[string]int{"WriteFile": 2, "MkdirAll": 3, "MkdirAll of one that exists": 1, "OpenFolder": 2, "Commit": 4}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			for failing := 1; ; failing++ {
				dir, n := t.TempDir(), 0
				setSync(t, func(f *os.File) error {
					if n++; n == failing {
						return &fs.PathError{Op: "sync", Path: f.Name(), Err: syscall.EIO}
					}
					return f.Sync()
				})
				err := call(t, dir)
				if n < failing {
					if err != nil || n != want[name] {
						t.Errorf("%v after %d syncs, want %d", err, n, want[name])
					}
					return
				}
				if !errors.Is(err, syscall.EIO) || n != failing {
					t.Errorf("sync %d of %d failed, and the call returned %v; want EIO at once", failing, n, err)
				}
			}
		})
	}
}

// A file whose content is not safe gets no name.
func TestFailedSyncOfFileLeavesNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
		f := s.create(t, "one")
		mustWrite(t, f, "text")
		setSync(t, func(*os.File) error { return syscall.EIO })
		if err := f.Commit("mail"); !errors.Is(err, syscall.EIO) {
			t.Errorf("commit: %v, want EIO", err)
		}
		s.expect(t, s.tmp, nil)
		s.expect(t, s.in, nil)
	})
	t.Run("WriteFile", func(t *testing.T) {
		s := newStage(t)
		name := filepath.Join(s.in, "key.pem")
		if err := WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		setSync(t, func(*os.File) error { return syscall.EIO })
		if err := WriteFile(name, []byte("new"), 0o600); !errors.Is(err, syscall.EIO) {
			t.Errorf("WriteFile: %v, want EIO", err)
		}
		s.expect(t, s.in, map[string]string{"key.pem": "old"})
	})
}

// watchSyncs calls seen before each sync, with its number, and counts them.
func watchSyncs(t *testing.T, seen func(n int, f *os.File)) (syncs *int) {
	syncs = new(int)
	setSync(t, func(f *os.File) error {
		*syncs++
		seen(*syncs, f)
		return f.Sync()
	})
	return syncs
}

func setSync(t *testing.T, sync func(*os.File) error) {
	before := fsync
	fsync = sync
	t.Cleanup(func() { fsync = before })
}

// isAt reports whether f is what path leads to.
func isAt(f *os.File, path string) bool {
	own, err := f.Stat()
	at, missing := os.Stat(path)
	return err == nil && missing == nil && os.SameFile(own, at)
}
