// Package testlog is a log for tests that can be read while it is written.
package testlog

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// A Log is the text of a log. It is safe for concurrent use, and its zero value is empty.
type Log struct {
	mu    sync.Mutex
	text  bytes.Buffer
	taken int
}

// Logger returns a logger that writes to l as text, from level INFO.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Write appends p to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns the whole log.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Take returns what has been written since the last Take.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.taken
	l.taken = l.text.Len()
	return string(l.text.Bytes()[last:])
}

// Count returns how often text occurs in the log.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }
