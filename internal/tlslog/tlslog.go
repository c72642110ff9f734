// Package tlslog reads TLS handshakes from the logs of other programs:
//
//   - OpenSSL's s_client and s_server with -trace or -msg
//   - TLS traces of Postfix 3.12 and later (smtpd_tls_loglevel = 1,trace), which OpenSSL writes
//   - Postfix's mail log with smtpd_tls_loglevel = 2, or smtp_tls_loglevel = 2
//   - gnutls-cli -d 4 and higher
//   - swaks, which says how TLS went, but lists no messages
//
// Such a log says less than a capture. It has no times, and it lists messages as the library
// processed them: OpenSSL and GnuTLS read a session ticket after they have sent their Finished,
// so an early ticket is listed where a late one is. What the log does not say stays unknown.
//
// # Limits
//
// At most 16 MiB and 10,000 sessions are read. Lines of other programs between, and even
// within, those of the log are ignored, since people write both outputs into one file.
package tlslog

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"postern/handshake"
)

const (
	// MaxSize is the most bytes that are read. A session of OpenSSL's -trace has some 20 KiB.
	MaxSize = 16 << 20

	// MaxSessions is the most sessions that are read.
	MaxSessions = 10_000

	maxLine = 16 << 10 // bytes of a line that are looked at
	maxText = 256      // bytes of what is kept of an error
)

// ErrFormat means that a text is no log that this package reads.
var ErrFormat = errors.New("tlslog: not a log of OpenSSL, Postfix, GnuTLS or swaks")

// A Session is a TLS session in a log.
type Session struct {
	// Program is "OpenSSL", "Postfix", "GnuTLS" or "swaks".
	Program string

	// Transcript is the handshake, without times; nil if the log does not list its messages.
	Transcript *handshake.Transcript

	// Completed says whether the handshake completed. Negotiated are the version and cipher
	// suite in the log's words, if it has some.
	Completed  bool
	Negotiated string

	// Refused is the log's text if the program that wrote it refused the certificate.
	Refused string

	// Err is the error of the program that wrote the log.
	Err string

	// Truncated reports that the program did not log all, as Postfix does for large traces.
	Truncated bool
}

// Read returns the sessions in a log, and whether it has more than is read. The error wraps
// [ErrFormat] if there is none, or is that of r.
func Read(r io.Reader) (sessions []Session, more bool, err error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, false, err
	}
	more = len(text) > MaxSize
	text = text[:min(len(text), MaxSize)]
	switch {
	case bytes.Contains(text, []byte("|<4>| HSK[")):
		sessions = readGnuTLS(text)
	case bytes.Contains(text, []byte(": SSL_accept:")), bytes.Contains(text, []byte(": SSL_connect:")):
		sessions = readPostfix(text)
	case isSwaks(text):
		sessions = readSwaks(text)
	default:
		sessions = readOpenSSL(text)
	}
	if len(sessions) == 0 {
		return nil, false, ErrFormat
	}
	if len(sessions) > MaxSessions {
		sessions, more = sessions[:MaxSessions], true
	}
	return sessions, more, nil
}

// lines calls f with each line of text, without its end and cut to maxLine.
func lines(text []byte, f func(line string)) {
	in := bufio.NewReaderSize(bytes.NewReader(text), maxLine)
	for {
		line, more, err := in.ReadLine()
		if err != nil {
			return
		}
		f(string(line))
		for more && err == nil {
			_, more, err = in.ReadLine()
		}
	}
}

// shorten bounds a text that is kept.
func shorten(text string) string {
	text = strings.TrimSpace(text)
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "?")
}
