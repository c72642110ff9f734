// Package keylog reads the key logs that TLS programs write (SSLKEYLOGFILE) and
// opens the encrypted records of a handshake with them, so that a transcript names
// every message.
//
// From a file beside a packet capture:
//
//	keys, err := keylog.Parse(file)
//	recorder.UseKeys(keys)
//
// From a connection of one's own, while it runs:
//
//	keys := new(keylog.Log)
//	config.KeyLogWriter = keys
//
// Whoever has a key log can read what its connections carried. A [Log] keeps only
// the four secrets a connection that open records of TLS 1.3, prints none of them,
// and puts none into an error.
//
// # Limits
//
// AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305 are opened, not AES-CCM; early data
// is not. A Log holds at most 32,768 connections; of those beyond it says so.
//
// # Sources
//
//   - RFC 9850 (the SSLKEYLOGFILE format)
//   - RFC 8446 (TLS 1.3), Sections 5.2, 5.3, 7.1 to 7.3
package keylog

import (
	"fmt"
	"io"
	"sync"
)

// maxConnections bounds a [Log]: about 400 bytes each, so some 13 MiB. Servers
// that write key logs are test servers.
const maxConnections = 1 << 15

// A random is the random of a ClientHello, which names a connection in a key log.
type random [32]byte

// secrets are those of one connection that open its records.
type secrets [labels][]byte

// A Log holds the secrets of connections. The zero Log is empty and ready; it
// must not be copied. It is safe for concurrent use.
type Log struct {
	mu          sync.Mutex
	lines       lineReader
	connections map[random]*secrets
	faults      []BadLine
	omitted     int
}

// Parse reads a whole key log from r.
//
// Lines that can not be read are left out and listed by [Log.BadLines]; a log with
// some of them is a good log. The error is that of r, and what was read before it
// is returned too.
func Parse(r io.Reader) (*Log, error) {
	l := new(Log)
	if _, err := io.Copy(l, r); err != nil {
		return l, fmt.Errorf("keylog: reading after line %d: %w", l.lines.number, err)
	}
	_, _ = l.Write([]byte("\n")) // a file may lack its last line's end
	return l, nil
}

// Write takes the next bytes of a key log, in pieces of any size, so that a Log
// can be the KeyLogWriter of a [crypto/tls.Config] whose connections it then
// opens. It takes all and returns no error, since crypto/tls ends a handshake
// whose secrets can not be written.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines.read(p, l.add)
	return len(p), nil
}

// add keeps the secret of one line, if it is one that opens records.
func (l *Log) add(line []byte) {
	entry, err := parseLine(line)
	if err != nil {
		l.fault(err.Error())
		return
	}
	if entry.label == labels {
		return
	}
	if s := l.of(entry.random); s == nil {
		l.fault(fmt.Sprintf("one connection more than %d, left out", maxConnections))
	} else if s[entry.label] == nil {
		s[entry.label] = entry.secret
	}
}

// of returns where the secrets of a connection are kept; nil if there is no room.
func (l *Log) of(connection random) *secrets {
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

// secret is that of a connection under a label; nil if it is not there, or not yet.
func (l *Log) secret(of random, under label) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.connections[of]; s != nil {
		return s[under]
	}
	return nil
}

// Format writes how many connections l knows, whatever the verb, so that no
// secret gets into a log by accident.
func (l *Log) Format(f fmt.State, _ rune) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(f, "keylog of %d connections", len(l.connections))
}

// maxFaults bounds the list; a file that is no key log has nothing but faults.
const maxFaults = 16

// A Fault is a line of a key log that could not be read.
type BadLine struct {
	Line   int // counted from 1
	Reason string
}

// Faults returns the lines that could not be read, the first 16 of them, and how
// many more there were. What stood in a line is not told: it may be a secret.
func (l *Log) BadLines() (faults []BadLine, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]BadLine(nil), l.faults...), l.omitted
}

func (l *Log) fault(why string) {
	if len(l.faults) == maxFaults {
		l.omitted++
		return
	}
	l.faults = append(l.faults, BadLine{l.lines.number, why})
}
