package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"postern/handshake"
	"postern/handshake/keylog"
	"postern/internal/capture"
	"postern/internal/terminal"
	"postern/internal/tlslog"
	"postern/interop"
)

// explainCmd explains the handshakes in a file.
type explainCmd struct {
	File   string `arg:"" help:"Packet capture (pcap or pcapng), transcript (JSON), or log of a TLS program; - is standard input."`
	Keys   string `placeholder:"FILE" help:"Decrypt messages of a capture with this key log (SSLKEYLOGFILE) of one side."`
	All    bool   `xor:"which" help:"Also show connections that did not fail. A single connection is always shown."`
	Failed bool   `xor:"which" help:"Show only connections that failed."`
	ASCII  bool   `help:"Draw in ASCII."`
	JSON   bool   `help:"Print one JSON object per handshake; see docs/json.md."`
}

// Help is called by kong.
func (explainCmd) Help() string {
	return `Diagnoses each handshake: draws its messages, names the known client failure it matches,
and what to do about it. Of several connections it prints a summary and those that failed.

To capture what reaches a server on port 25:

  tcpdump -i any -w capture.pcap port 25

It also reads what other programs log of a handshake: Postfix's mail log with smtpd_tls_loglevel = 2,
TLS traces of Postfix 3.12 (smtpd_tls_loglevel = 1,trace), openssl s_client and s_server with -trace
or -msg, gnutls-cli -d 4, and swaks. They say less than a capture.

Exit status:

  0  no handshake failed
  1  a failure has a diagnosis
  2  the file cannot be read
  3  a failure has no diagnosis, or there is no handshake, or too little of one`
}

const explainHint = "give a capture written by tcpdump -w, a transcript as in postern handshakes show --json, or the log of Postfix with smtpd_tls_loglevel = 2, openssl s_client -trace, gnutls-cli -d 4 or swaks"

// Run is called by kong.
func (e explainCmd) Run(ui terminal.UI) error {
	received := waiting(ui, e.File)
	defer received()
	file := os.Stdin
	if e.File != "-" {
		var err error
		if file, err = os.Open(e.File); err != nil {
			return &terminal.UsageError{Err: err, Hint: explainHint}
		}
		defer file.Close()
	}
	shown := terminal.NewProgress(ui.Err)
	defer shown.Done()
	ui = ui.Above(shown)
	in := bufio.NewReaderSize(newProgressReader(file, shown), 1<<16)
	head, err := in.Peek(4)
	received()
	if err != nil && err != io.EOF {
		return &terminal.UsageError{Err: err, Hint: explainHint}
	}
	if err != nil {
		return &terminal.UsageError{Err: fmt.Errorf("%s: too short for a capture or a transcript", e.File), Hint: explainHint}
	}
	out := &explainOutput{
		ui: ui, json: e.JSON, all: e.All, onlyFailed: e.Failed,
		diagram: handshake.DiagramOptions{ASCII: e.ASCII, Location: time.Local},
	}
	if capture.IsCapture(head) {
		err = e.capture(in, out)
	} else {
		err = e.text(in, out)
	}
	if err != nil {
		return err
	}
	out.print()
	return out.status()
}

// text explains the handshake of a transcript, or those of a log.
func (e explainCmd) text(in io.Reader, out *explainOutput) error {
	if e.Keys != "" {
		return &terminal.UsageError{Err: errors.New("--keys is for captures: a transcript has no encrypted bytes")}
	}
	content, err := io.ReadAll(io.LimitReader(in, max(handshake.MaxSize, tlslog.MaxSize)+1))
	if err != nil {
		return &terminal.UsageError{Err: err, Hint: explainHint}
	}
	transcript, notTranscript := handshake.Parse(content)
	if notTranscript == nil {
		return out.add(explain(nil, transcript, interop.Context{}))
	}
	sessions, more, err := tlslog.Read(bytes.NewReader(content))
	if err != nil {
		return e.unreadable(content, notTranscript)
	}
	if more {
		out.ui.Note(fmt.Sprintf("only the first %d MiB and %d sessions of a log are read", tlslog.MaxSize>>20, tlslog.MaxSessions))
	}
	for _, s := range sessions {
		if err := out.add(explainLog(s)); err != nil {
			return err
		}
	}
	return nil
}

// unreadable is the error about a text in which there is no handshake.
func (e explainCmd) unreadable(content []byte, notTranscript error) error {
	if postfixFailed.Match(content) {
		return &terminal.UsageError{Err: fmt.Errorf("%s: a log of Postfix without the messages of a handshake", e.File),
			Hint: "set smtpd_tls_loglevel = 2, of Postfix as a client smtp_tls_loglevel = 2, and give the log of a later attempt; or give a capture written by tcpdump -w"}
	}
	err := fmt.Errorf("%s: neither pcap nor pcapng, nor a transcript, nor a TLS log", e.File)
	if bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) {
		err = fmt.Errorf("%w: %w", err, notTranscript)
	}
	return &terminal.UsageError{Err: err, Hint: explainHint}
}

// postfixFailed is what Postfix logs of a failed handshake at every smtpd_tls_loglevel.
var postfixFailed = regexp.MustCompile(`SSL_accept error from |SSL_connect error to |lost connection after STARTTLS from `)

// capture explains the handshakes of a packet capture.
func (e explainCmd) capture(in io.Reader, out *explainOutput) error {
	keys, err := e.keys(out.ui)
	if err != nil {
		return err
	}
	reader, err := capture.NewReader(in, keys)
	if err != nil {
		return &terminal.UsageError{Err: err, Hint: explainHint}
	}
	for {
		conversation, err := reader.Next()
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF): // tcpdump was killed, or is still writing
			out.ui.Note(err.Error())
			fallthrough
		case errors.Is(err, io.EOF):
			out.stats(reader.Stats())
			if keys != nil && out.begun > 0 && out.opened == 0 {
				out.ui.Note(e.Keys + " opens nothing in this capture: it has other connections, or their cipher suites are not supported (CBC, CCM, RC4)")
			}
			return nil
		case err != nil:
			return &terminal.UsageError{Err: err, Hint: explainHint}
		}
		if err := out.add(explain(conversation, conversation.Transcript, interop.Context{})); err != nil {
			return err
		}
	}
}

// keys reads the key log, if there is one.
func (e explainCmd) keys(ui terminal.UI) (handshake.Keys, error) {
	if e.Keys == "" {
		return nil, nil
	}
	file, err := os.Open(e.Keys)
	if err != nil {
		return nil, &terminal.UsageError{Err: err}
	}
	defer file.Close()
	keys, err := keylog.Parse(file)
	if err != nil {
		return nil, &terminal.UsageError{Err: err}
	}
	bad, more := keys.BadLines()
	for _, line := range bad {
		ui.Note(fmt.Sprintf("%s:%d: %s", e.Keys, line.Line, line.Reason))
	}
	if more > 0 {
		ui.Note(fmt.Sprintf("%s: %d more invalid lines", e.Keys, more))
	}
	return keys, nil
}

// A progressReader shows how much of a file has been read.
type progressReader struct {
	file       *os.File
	shown      *terminal.Progress
	read, size int64 // in bytes; size is 0 if unknown
}

func newProgressReader(file *os.File, shown *terminal.Progress) *progressReader {
	r := &progressReader{file: file, shown: shown}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		r.size = info.Size()
	}
	return r
}

// Read implements [io.Reader].
func (r *progressReader) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	r.read += int64(n)
	of := ""
	if r.size > 0 {
		of = fmt.Sprintf(" of %d", r.size>>20)
	}
	r.shown.Set(fmt.Sprintf("postern: reading %s, %d%s MiB", r.file.Name(), r.read>>20, of))
	return n, err
}
