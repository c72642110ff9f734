package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postern/internal/testdisk"
	"postern/internal/testlog"
)

// remedyOf returns the words of an error and what to do, as a command prints them.
func remedyOf(err error) string {
	var remedied interface{ Remedy() string }
	if !errors.As(err, &remedied) {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%v\n%s", err, remedied.Remedy())
}

// An operator reads what is wrong with which file, and what to do; none of SQLite's numbers.
func TestErrorsSayWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.WriteFile(at("garbage"), []byte("hello"), 0o600), os.Mkdir(at("folder"), 0o700), os.WriteFile(at("file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	open := func(path string) error { _, err := OpenReader(path); return err }
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"not a database", open(at("garbage")), "ledger: " + at("garbage") + ": opening: the file is damaged, or is no ledger\n" +
			"start postern serve: it renames the file and begins a new one; sqlite3's .dump may read a part of the old one"},
		{"a folder", open(at("folder")), "ledger: " + at("folder") + ": opening: it is a folder, not a file\n" +
			"remove the folder, or set another data folder"},
		{"below a file", open(at("file/ledger.db")), "ledger: " + at("file/ledger.db") + ": opening: " + at("file") + " is not a folder\n" +
			"set another data folder"},
		{"no folder", Create(at("none/ledger.db")), "ledger: creating " + at("none/ledger.db") + ": there is no folder " + at("none") + "\n" +
			"create it, or set another data folder"},
		{"no permission", explained(at("x"), &fs.PathError{Op: "open", Path: at("x"), Err: syscall.EACCES}), "no permission to read and write the file and in its folder\n" +
			"run the command as root or as the user that postern serve runs as"},
	} {
		if got := remedyOf(test.err); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
	}
}

func TestErrorsOfTheDiskSayWhatToDo(t *testing.T) {
	t.Parallel()
	dir := testdisk.Mount(t, "size=1m")
	path := filepath.Join(dir, "ledger.db")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	_, err := AddReport(context.Background(), path, signed(strings.Repeat("x", 100)))
	if got, want := remedyOf(err), "the disk is full\nfree space or inodes on the disk of "+dir+", see df and df -i"; !strings.HasSuffix(got, want) {
		t.Errorf("full: %s\nwant %s", got, want)
	}
	var log testlog.Log
	l := opened(t, path, Options{Log: log.Logger()})
	until(t, "logged", func() bool {
		l.AddHandshake(failure("A"))
		return log.Count(begins) > 0
	})
	if !strings.Contains(log.String(), `err="the disk is full" remedy="free space or inodes on the disk of `) {
		t.Errorf("the log says %s", log.String())
	}
	l.Close()
	testdisk.Remount(t, dir, syscall.MS_RDONLY, "")
	_, err = AddReport(context.Background(), path, signed("B"))
	if got, want := remedyOf(err), "the disk is mounted read-only\nmount the disk of "+dir+" for writing"; !strings.HasSuffix(got, want) {
		t.Errorf("read-only: %s\nwant %s", got, want)
	}
}
