// Package keylog reads key logs (SSLKEYLOGFILE) and opens the encrypted records of a
// handshake with them.
//
// TLS 1.3 encrypts most of the handshake, so a packet capture shows only the sizes of
// those messages; in TLS 1.2 that is so for alerts and Finished. A key log, which most TLS
// programs can write, holds the secrets that open them.
//
// With a file beside a packet capture:
//
//	keys, err := keylog.Parse(file)
//	recorder.UseKeys(keys)
//
// With a connection of this process, while it runs:
//
//	keys := new(keylog.Log)
//	config.KeyLogWriter = keys
//
// Whoever has a key log can decrypt its connections. A [Log] keeps only the secrets of a
// connection that open its records, four in TLS 1.3 and one in TLS 1.2, and never prints them or puts them into
// errors.
//
// # Limits
//
// AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305 are supported; AES-CCM, the CBC suites of
// TLS 1.2, earlier versions and early data are not. A Log holds at most 32,768 connections and reports those beyond.
//
// # Concurrency
//
// A Log is safe for concurrent use.
//
// # Sources
//
//   - RFC 9850 (the SSLKEYLOGFILE format)
//   - RFC 8446 (TLS 1.3), Sections 5.2, 5.3, 7.1 to 7.3
//   - RFC 5246 (TLS 1.2), Sections 5, 6.2.3.3, 6.3
package keylog

import (
	"fmt"
	"io"
	"slices"
	"sync"
)

// maxConnections bounds a [Log]: about 400 bytes each, so some 13 MiB. Servers that write
// key logs are test servers.
const maxConnections = 1 << 15

// A random is the random of a ClientHello, which identifies a connection in a key log.
type random [32]byte

// secrets are the secrets of one connection that open its records.
type secrets [labels][]byte

// A Log holds the secrets of connections. The zero value is an empty Log ready to use. A
// Log must not be copied.
type Log struct {
	mu          sync.Mutex
	lines       lineReader
	connections map[random]*secrets
	bad         []BadLine
	omitted     int
}

// Parse reads a whole key log from r.
//
// Lines that cannot be read are skipped and listed by [Log.BadLines]; a log with some of
// them is usable. The error is that of r; the Log then holds what was read before it.
func Parse(r io.Reader) (*Log, error) {
	l := new(Log)
	if _, err := io.Copy(l, r); err != nil {
		return l, fmt.Errorf("keylog: reading after line %d: %w", l.lines.number, err)
	}
	_, _ = l.Write([]byte("\n")) // the last line of a file may lack its end
	return l, nil
}

// Write reads the next bytes of a key log, in pieces of any size, so that a Log can be the
// KeyLogWriter of a [crypto/tls.Config] and open the records of its connections. It never
// returns an error, since crypto/tls ends a handshake whose secrets cannot be written.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines.read(p, l.add)
	return len(p), nil
}

// add keeps the secret of one line, if it opens records.
func (l *Log) add(line []byte) {
	entry, err := parseLine(line)
	if err != nil {
		l.addBadLine(err.Error())
		return
	}
	if entry.label == labels {
		return
	}
	if s := l.secretsOf(entry.random); s == nil {
		l.addBadLine(fmt.Sprintf("one connection more than %d, left out", maxConnections))
	} else if s[entry.label] == nil {
		s[entry.label] = entry.secret
	}
}

// secretsOf returns the secrets of a connection to add to, or nil if the Log is full.
func (l *Log) secretsOf(connection random) *secrets {
	s := l.connections[connection]
	if s == nil && len(l.connections) < maxConnections {
		if l.connections == nil {
			l.connections = make(map[random]*secrets)
		}
		s = new(secrets)
		l.connections[connection] = s
	}
	return s
}

// secret returns the secret of a connection with a label, or nil if it is not there, or
// not yet.
func (l *Log) secret(connection random, of label) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.connections[connection]; s != nil {
		return s[of]
	}
	return nil
}

// Format prints the number of connections in l for every verb, so that no secret is
// logged by accident. It implements [fmt.Formatter].
func (l *Log) Format(f fmt.State, _ rune) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(f, "keylog of %d connections", len(l.connections))
}

// maxBadLines bounds the list of bad lines: in a file that is no key log all are bad.
const maxBadLines = 16

// A BadLine is a line of a key log that could not be read.
type BadLine struct {
	Line   int // counted from 1
	Reason string
}

// BadLines returns the lines that could not be read, the first 16 of them, and the number
// of the others. Reasons do not quote the line: it may hold a secret.
func (l *Log) BadLines() (lines []BadLine, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.bad), l.omitted
}

func (l *Log) addBadLine(reason string) {
	if len(l.bad) == maxBadLines {
		l.omitted++
		return
	}
	l.bad = append(l.bad, BadLine{l.lines.number, reason})
}
