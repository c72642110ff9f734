package load

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Size is the size of every message's text, in bytes with CRLF.
const Size = 4096

const (
	idField  = "Message-ID: <"
	idDigits = "0000000000"
	ending   = ".\r\n"
	goodbye  = "QUIT\r\n"
)

// A text is a message that a sender sends repeatedly, each time with a new ID.
type text struct {
	bytes []byte // with the final dot and QUIT
	id    []byte // the digits in bytes that change
}

// newText returns the text of one sender's messages. The ID is in the first line, so that a
// stored message is complete from there on, behind the fields that servers add.
func newText(run int64, sender int) *text {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s.%d.%d@bench.test>\r\n", idField, idDigits, sender, run)
	b.WriteString("From: <sender@bench.test>\r\nTo: <user@localhost>\r\n" +
		"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nSubject: a message\r\n\r\n")
	line := strings.Repeat("x", 62) + "\r\n"
	for b.Len()+2*len(line) < Size {
		b.WriteString(line)
	}
	b.WriteString(strings.Repeat("y", Size-b.Len()-2) + "\r\n" + ending + goodbye)
	t := &text{bytes: b.Bytes()}
	t.id = t.bytes[len(idField):][:len(idDigits)]
	return t
}

// next sets the ID of the message with the given number.
func (t *text) next(number int) {
	digits := strconv.Itoa(number)
	copy(t.id, idDigits)
	copy(t.id[len(t.id)-len(digits):], digits)
}

// wire returns the text as sent: with the final dot, and with QUIT if it is the last one.
func (t *text) wire(last bool) []byte {
	if last {
		return t.bytes
	}
	return t.bytes[:len(t.bytes)-len(goodbye)]
}

// stored returns the text as in a Maildir, with LF for CRLF.
func (t *text) stored() []byte {
	return bytes.ReplaceAll(t.bytes[:Size], []byte("\r\n"), []byte("\n"))
}

// CheckMaildir checks that each acknowledged message is in dir once and complete.
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
