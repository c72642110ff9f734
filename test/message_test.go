package test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/testsmtp"
)

// newMessage returns a message with an id and a checksum, so that it can be recognised and
// checked anywhere. Its text has at least size bytes.
func newMessage(id string, size int) testsmtp.Message {
	block := make([]byte, 720) // lines of 960 bytes: under the race detector each line takes time
	rand.Read(block)
	line := base64.StdEncoding.EncodeToString(block) + "\n"
	body := strings.Repeat(line, size/len(line)+1) + "end of " + id + "\n"
	text := fmt.Sprintf("Subject: %s\nX-Checksum: %s\n\n%s", id, checksum(body), body)
	return testsmtp.Message{
		From: "sender@sender.test",
		To:   []string{"user@localhost"},
		Text: strings.ReplaceAll(text, "\n", "\r\n"),
	}
}

func checksum(body string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(body))) }

// A stored message is one as read from a Maildir or a mailbox, with lines that end in
// LF.
type stored string

func newStored(text string) stored { return stored(strings.ReplaceAll(text, "\r\n", "\n")) }

// field returns a header field's first line.
func (s stored) field(name string) string {
	header, _, _ := strings.Cut(string(s), "\n\n")
	for line := range strings.Lines(header) {
		key, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(key, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// received returns the topmost Received field, unfolded: Postern's, if no other server
// has handled the message since.
func (s stored) received() string {
	_, rest, found := strings.Cut("\n"+string(s), "\nReceived:")
	if !found {
		return ""
	}
	var field strings.Builder
	for i, line := range strings.Split(rest, "\n") {
		if i > 0 && !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, " ") {
			break
		}
		field.WriteString(" " + strings.TrimSpace(line))
	}
	return strings.TrimSpace(field.String())
}

// whole returns the message's id, or an error if the message is not one of newMessage, or
// not whole.
func (s stored) whole() (string, error) {
	header, body, found := strings.Cut(string(s), "\n\n")
	id, sum := s.field("Subject"), s.field("X-Checksum")
	switch {
	case !found || id == "" || sum == "":
		return "", fmt.Errorf("not a message of newMessage: %.300q", header)
	case checksum(body) != sum:
		return "", fmt.Errorf("message %s is not whole: its body of %d bytes has another checksum", id, len(body))
	}
	return id, nil
}

// A maildir is a folder with new, cur and tmp.
type maildir string

// maildir returns the folder in which a postern without --next-hop stores mail.
func (p *postern) maildir() maildir { return maildir(filepath.Join(p.data, "maildir")) }

// files returns the paths in new, cur or tmp.
func (m maildir) files(t *testing.T, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(string(m), folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// messages reads what is in new/.
func (m maildir) messages(t *testing.T) []stored {
	t.Helper()
	var all []stored
	for _, path := range m.files(t, "new") {
		all = append(all, readStored(t, path))
	}
	return all
}

func readStored(t *testing.T, path string) stored {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return newStored(string(text))
}

// take reads what is in new/ and deletes it.
func (m maildir) take(t *testing.T) []stored {
	t.Helper()
	all := m.messages(t)
	for _, path := range m.files(t, "new") {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
