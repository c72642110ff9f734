package maildir

import (
	"bytes"
	"fmt"
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

// A folder is a Maildir in a test.
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

// send delivers text from the null sender to one recipient.
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

var stored = regexp.MustCompile(`^250 2\.0\.0 stored as ([0-9]+\.M[0-9]+P[0-9]+Q[0-9]+R[0-9a-f]{16}\.[^/:,]+,S=[0-9]+,W=[0-9]+) \(id (.*)\)$`)

// expectStored returns the name of the file in the reply.
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
	return filesIn(t, filepath.Join(f.dir, sub))
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
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

func TestMessageIsOneFileForAllRecipients(t *testing.T) {
	f := newFolder(t)
	s := f.open("7Q2F")
	envelope(s, "sender@example.org", "one@localhost", "two@localhost")
	reply := s.Send(strings.NewReader("Received: here\r\nSubject: hello\r\n\r\nfirst\r\n.second\r\n"))
	name := f.expectStored(t, reply, "7Q2F")
	want := "Return-Path: <sender@example.org>\n" +
		"Delivered-To: one@localhost\n" +
		"Delivered-To: two@localhost\n" +
		"Received: here\nSubject: hello\n\nfirst\n.second\n"
	if got := f.read(t, "new", name); got != want {
		t.Errorf("stored:\n%s\nwant:\n%s", got, want)
	}
	sizes := fmt.Sprintf(",S=%d,W=%d", len(want), len(want)+strings.Count(want, "\n"))
	if !strings.HasSuffix(name, sizes) {
		t.Errorf("name %s does not end in %s", name, sizes)
	}
	f.expectFiles(t, "new", 1)
	f.expectFiles(t, "tmp", 0)
}

func TestSessionTakesSeveralMessages(t *testing.T) {
	f := newFolder(t)
	s := f.open("7Q2F")
	envelope(s, "gone@example.org", "gone@localhost")
	s.Reset()
	for _, to := range []string{"one@localhost", "two@localhost"} {
		envelope(s, "", to)
		name := f.expectStored(t, s.Send(strings.NewReader("\r\n")), "7Q2F")
		want := "Return-Path: <>\nDelivered-To: " + to + "\n\n"
		if got := f.read(t, "new", name); got != want {
			t.Errorf("stored %q, want %q", got, want)
		}
	}
	s.Close()
	f.expectFiles(t, "new", 2)
}

func TestRepliesBeforeText(t *testing.T) {
	s := newFolder(t).open("7Q2F")
	defer s.Close()
	got := []string{
		s.Mail(smtp.Mail{From: "a@example.org"})().String(),
		s.Rcpt(smtp.Recipient{To: "b@localhost"})().String(),
		s.Data()().String(),
	}
	want := []string{"250 2.1.0 sender ok", "250 2.1.5 recipient ok", "354 send the message"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("reply %q, want %q", got[i], want[i])
		}
	}
}

func TestExtensions(t *testing.T) {
	want := smtp.Extensions{EightBitMIME: true, SMTPUTF8: true, RequireTLS: true}
	if got := newFolder(t).maildir.Extensions(); got != want {
		t.Errorf("extensions %+v, want %+v", got, want)
	}
}

func TestFoldersAreForTheirOwnerOnly(t *testing.T) {
	f := newFolder(t)
	for _, name := range []string{"", "cur", "new", "tmp"} {
		stat, err := os.Stat(filepath.Join(f.dir, name))
		if err != nil || stat.Mode().Perm() != 0o700 {
			t.Errorf("%q: %v, %v, want mode 0700", name, stat, err)
		}
	}
	s := f.open("7Q2F")
	envelope(s, "", "one@localhost")
	name := f.expectStored(t, s.Send(strings.NewReader("\r\n")), "7Q2F")
	stat, err := os.Stat(filepath.Join(f.dir, "new", name))
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("message: %v, %v, want mode 0600", stat, err)
	}
}

func TestNewRejectsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(file, nil); err == nil || !strings.HasPrefix(err.Error(), "maildir: ") {
		t.Errorf("New: %v, want an error of maildir", err)
	}
}

// A server that stops closes the folder last; what comes later is deferred, not lost.
func TestClosedMaildirDefersMail(t *testing.T) {
	f := newFolder(t)
	if err := f.maildir.Close(); err != nil {
		t.Fatal(err)
	}
	expectTransient(t, f.send(strings.NewReader("text")), 451)
	f.expectFiles(t, "new", 0)
}
