package load

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// CheckMaildir checks that each message that was acknowledged lies in dir once,
// whole to the last byte.
func (t *Tally) CheckMaildir(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := make(map[string]bool, len(files))
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return err
		}
		start := bytes.Index(text, []byte(idField))
		if start < 0 {
			return fmt.Errorf("%s is not a message of this load", file.Name())
		}
		own := string(text[start:])
		if found[own] {
			return fmt.Errorf("%s is there twice", file.Name())
		}
		found[own] = true
	}
	return t.checkAll(found)
}

func (t *Tally) checkAll(found map[string]bool) error {
	for sender, acknowledged := range t.bySender {
		text := newText(t.number, sender)
		for number := range acknowledged {
			text.next(number)
			if !found[string(text.stored())] {
				return fmt.Errorf("message %d of sender %d was acknowledged and is not there", number, sender)
			}
		}
	}
	return nil
}
