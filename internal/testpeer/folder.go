package testpeer

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A folder is a program's private folder.
type folder string

// newFolder makes a folder that is removed with the test. It does not use t.TempDir: the path
// of a Unix socket may have at most 108 bytes (unix(7)), and servers that drop root must be
// able to enter.
func newFolder(t T) folder {
	t.Helper()
	dir, err := os.MkdirTemp("", "peer")
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	t.Cleanup(func() { remove(t, dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	return folder(dir)
}

// remove deletes dir. It retries for a while, since a killed server's last child may still
// create a file.
func remove(t T, dir string) {
	var err error
	for range 100 {
		if err = os.RemoveAll(dir); err == nil {
			return
		}
		time.Sleep(pollInterval)
	}
	t.Logf("testpeer: %v", err)
}

// path returns the path of name in the folder.
func (f folder) path(name string) string { return filepath.Join(string(f), name) }

// mkdir makes the folder name and, if the test runs as root, changes its owner.
func (f folder) mkdir(t T, name, owner string) string {
	t.Helper()
	dir := f.path(name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	if os.Geteuid() == 0 {
		uid, gid := account(t, owner)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatalf("testpeer: %v", err)
		}
	}
	return dir
}

// write writes a file of lines, each ended by a newline.
func (f folder) write(t T, name string, lines ...string) string {
	t.Helper()
	path := f.path(name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	return path
}

// link makes name a link to the file at path.
func (f folder) link(t T, name, path string) {
	t.Helper()
	if err := os.Symlink(path, f.path(name)); err != nil {
		t.Fatalf("testpeer: %v", err)
	}
}

// account returns the numeric ids of the user called name.
func account(t T, name string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		unavailable(t, "%v: run scripts/install-peers", err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("testpeer: user %s has the ids %q and %q, want numbers", name, u.Uid, u.Gid)
	}
	return uid, gid
}

// A Maildir is the path of a Maildir, which need not exist yet.
type Maildir string

// Messages returns the texts of the messages in new/, in no order.
func (m Maildir) Messages(t T) []string {
	t.Helper()
	var messages []string
	for _, name := range m.names(t) {
		text, err := os.ReadFile(filepath.Join(string(m), "new", name))
		if err != nil {
			t.Fatalf("testpeer: %v", err)
		}
		messages = append(messages, string(text))
	}
	return messages
}

// Count returns the number of messages in new/.
func (m Maildir) Count(t T) int {
	t.Helper()
	return len(m.names(t))
}

func (m Maildir) names(t T) []string {
	t.Helper()
	dir, err := os.Open(filepath.Join(string(m), "new"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	return names
}
