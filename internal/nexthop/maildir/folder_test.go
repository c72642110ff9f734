package maildir

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// folder is a Maildir in a test.
type folder struct {
	dir     string
	maildir *Maildir
	log     *bytes.Buffer
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	return folderIn(t, filepath.Join(t.TempDir(), "maildir"))
}

func folderIn(t *testing.T, dir string) *folder {
	t.Helper()
	f := &folder{dir: dir, log: new(bytes.Buffer)}
	var err error
	if f.maildir, err = New(dir, slog.New(slog.NewTextHandler(f.log, nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.maildir.Close() })
	return f
}

func (f *folder) open(id string) nexthop.Session {
	return f.maildir.Open(nexthop.Sender{SessionID: id})
}

// send delivers text from nobody to one recipient.
func (f *folder) send(text io.Reader) smtp.Reply {
	s := f.open("7Q2F")
	defer s.Close()
	envelope(s, "", "one@localhost")
	return s.Send(text)
}

func envelope(s nexthop.Session, from string, to ...string) {
	s.Mail(smtp.Mail{From: from})()
	for _, rcpt := range to {
		s.Rcpt(smtp.Recipient{To: rcpt})()
	}
}

var stored = regexp.MustCompile(`^250 2\.0\.0 stored as ([0-9]+\.M[0-9]+P[0-9]+Q[0-9]+\.[^/:,]+,S=[0-9]+,W=[0-9]+) \(id (.*)\)$`)

// expectStored returns the name of the file that the reply speaks of.
func (f *folder) expectStored(t *testing.T, reply smtp.Reply, id string) string {
	t.Helper()
	match := stored.FindStringSubmatch(reply.String())
	if match == nil || match[2] != id {
		t.Fatalf("reply %q, want 250 with a file's name and id %s", reply, id)
	}
	return match[1]
}

func (f *folder) read(t *testing.T, parts ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(f.dir, filepath.Join(parts...)))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func (f *folder) files(t *testing.T, sub string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(f.dir, sub))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func (f *folder) expectFiles(t *testing.T, sub string, want int) {
	t.Helper()
	if names := f.files(t, sub); len(names) != want {
		t.Errorf("%s/ holds %d files, want %d: %v", sub, len(names), want, names)
	}
}

func (f *folder) expectLogged(t *testing.T, lines int, word string) {
	t.Helper()
	if got := strings.Count(f.log.String(), "\n"); got != lines || !strings.Contains(f.log.String(), word) {
		t.Errorf("log, want %d lines with %q:\n%s", lines, word, f.log)
	}
}
