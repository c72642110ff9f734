package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"postern/handshake"
	"postern/handshake/keylog"
	"postern/internal/capture"
	"postern/internal/terminal"
)

// explain is the subcommand that explains handshakes from a file.
type explain struct {
	File  string `arg:"" help:"A packet capture (pcap or pcapng), or a transcript in JSON; - is standard input."`
	Keys  string `placeholder:"FILE" help:"The key log (SSLKEYLOGFILE) of one side of a capture: names its encrypted messages."`
	ASCII bool   `help:"Draw in ASCII."`
	JSON  bool   `help:"One JSON object a handshake, one a line; docs/json.md tells the fields."`
}

// Help is what postern explain --help says besides the flags.
func (explain) Help() string {
	return `Exit status: 0 nothing is wrong, 1 a case was found, 2 the file cannot be read, 3 a handshake failed and it is not known why, or there was none.

To capture what reaches a server on port 25: tcpdump -i any -w capture.pcap port 25`
}

const explainHint = "give a capture that tcpdump -w has written, or a transcript as postern handshakes show --json has it"

// Run is called by kong.
func (e explain) Run(ui terminal.UI) error {
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
	in := bufio.NewReaderSize(newMetered(file, shown), 1<<16)
	head, err := in.Peek(4)
	if err != nil {
		return &terminal.UsageError{Err: fmt.Errorf("%s: too short to be a capture or a transcript", e.File), Hint: explainHint}
	}
	told := &telling{ui: ui, explain: e}
	if capture.IsCapture(head) {
		err = e.capture(in, told)
	} else {
		err = e.transcript(in, told)
	}
	if err != nil {
		return err
	}
	return told.verdict()
}

// transcript explains the one handshake of a transcript.
func (e explain) transcript(in io.Reader, told *telling) error {
	if e.Keys != "" {
		return &terminal.UsageError{Err: errors.New("--keys: a transcript has no encrypted bytes any more; give the capture")}
	}
	content, err := io.ReadAll(io.LimitReader(in, handshake.MaxSize+1))
	if err != nil {
		return &terminal.UsageError{Err: err, Hint: explainHint}
	}
	transcript, err := handshake.Parse(content)
	if err != nil {
		return &terminal.UsageError{Err: fmt.Errorf("%s: neither pcap nor pcapng, nor a transcript: %w", e.File, err), Hint: explainHint}
	}
	return told.handshake(transcript)
}

// capture explains the handshakes of a packet capture.
func (e explain) capture(in io.Reader, told *telling) error {
	keys, err := e.keys(told.ui)
	if err != nil {
		return err
	}
	reader, err := capture.NewReader(in, capture.Options{Keys: keys})
	if err != nil {
		return &terminal.UsageError{Err: err, Hint: explainHint}
	}
	for {
		conversation, err := reader.Next()
		if errors.Is(err, io.EOF) {
			told.tally(reader.Stats())
			return nil
		}
		if err != nil {
			return &terminal.UsageError{Err: err, Hint: explainHint}
		}
		if err := told.conversation(conversation); err != nil {
			return err
		}
	}
}

// keys reads the key log, if there is one.
func (e explain) keys(ui terminal.UI) (handshake.Keys, error) {
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
	faults, more := keys.BadLines()
	for _, fault := range faults {
		ui.Note(fmt.Sprintf("%s:%d: %s", e.Keys, fault.Line, fault.Reason))
	}
	if more > 0 {
		ui.Note(fmt.Sprintf("%s: %d more lines cannot be read", e.Keys, more))
	}
	return keys, nil
}

// A metered is a file that tells how much of it has been read.
type metered struct {
	file       *os.File
	told       *terminal.Progress
	read, size int64 // in bytes; size is 0 of what has no end yet
}

func newMetered(file *os.File, told *terminal.Progress) *metered {
	m := &metered{file: file, told: told}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		m.size = info.Size()
	}
	return m
}

// Read is for [io.Reader].
func (m *metered) Read(p []byte) (int, error) {
	n, err := m.file.Read(p)
	m.read += int64(n)
	of := ""
	if m.size > 0 {
		of = fmt.Sprintf(" of %d", m.size>>20)
	}
	m.told.Set(fmt.Sprintf("postern: %d%s MiB are read, %s", m.read>>20, of, m.file.Name()))
	return n, err
}
