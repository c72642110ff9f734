package test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a story waits for what must come. It is no measure of
// anything: a busy machine needs less.
const patience = 90 * time.Second

// A journal keeps what a program prints, line by line.
type journal struct {
	mu      sync.Mutex
	lines   []string
	partial []byte
	changed chan struct{} // closed at the next change
	over    chan struct{} // closed when the program has ended
}

func newJournal() *journal { return &journal{changed: make(chan struct{}), over: make(chan struct{})} }

// Write takes the program's output.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.partial = append(j.partial, p...)
	for {
		line, rest, ended := bytes.Cut(j.partial, []byte("\n"))
		if !ended {
			break
		}
		j.lines = append(j.lines, string(line))
		j.partial = rest
	}
	close(j.changed)
	j.changed = make(chan struct{})
	return len(p), nil
}

// length is the number of lines so far, to await what comes behind them.
func (j *journal) length() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.lines)
}

// find returns the first line from the given one on that holds all words, how
// many do, and what is closed when that may change.
func (j *journal) find(from int, words ...string) (first string, count int, changed <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines[min(from, len(j.lines)):] {
		if holdsAll(line, words) {
			if count == 0 {
				first = line
			}
			count++
		}
	}
	return first, count, j.changed
}

func holdsAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}

// count is the number of lines that hold all words.
func (j *journal) count(words ...string) int {
	_, n, _ := j.find(0, words...)
	return n
}

// await waits for a line that holds all words, from the given line on.
func (j *journal) await(from int, words ...string) (string, error) {
	return j.awaitLines(from, 1, words...)
}

// awaitCount waits for n lines that hold all words.
func (j *journal) awaitCount(n int, words ...string) error {
	_, err := j.awaitLines(0, n, words...)
	return err
}

func (j *journal) awaitLines(from, n int, words ...string) (string, error) {
	deadline := time.After(patience)
	for {
		first, count, changed := j.find(from, words...)
		if count >= n {
			return first, nil
		}
		select {
		case <-changed:
		case <-j.over:
			return "", fmt.Errorf("the program ended with %d of %d lines with %q", count, n, words)
		case <-deadline:
			return "", fmt.Errorf("%d of %d lines with %q after %v", count, n, words, patience)
		}
	}
}

// maxShown is the number of lines that a failure shows.
const maxShown = 200

// show logs what the program printed last.
func (j *journal) show(t *testing.T) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	from := max(0, len(j.lines)-maxShown)
	t.Logf("postern says (%d lines before left out):\n%s\n%s", from, strings.Join(j.lines[from:], "\n"), j.partial)
}
