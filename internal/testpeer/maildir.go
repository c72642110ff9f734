package testpeer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Maildir is the path of a Maildir, which need not exist yet.
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

// Count tells how many messages lie in new/.
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
