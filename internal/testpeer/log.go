package testpeer

import (
	"fmt"
	"os"
	"strings"
)

// maxShown is how much of the end of a log file a failing test shows.
const maxShown = 16 << 10

// failed tells whether t is known to have failed.
func failed(t T) bool {
	f, ok := t.(interface{ Failed() bool })
	return ok && f.Failed()
}

// tail returns the last lines of a log file, in at most maxShown bytes.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("-- no log: %v\n", err)
	}
	if cut := len(text) - maxShown; cut > 0 {
		text = text[cut:]
	}
	return fmt.Sprintf("-- %s:\n%s\n", path, strings.ToValidUTF8(string(text), "?"))
}

// readLog returns a whole log file, empty while there is none.
func readLog(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}
