package tlsrptin

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"postern/internal/ledger"
	"postern/internal/smtp"
	"postern/tlsrpt"
)

// A FileReader reads reports from files: JSON, plain or compressed, a message, an mbox, or
// a Maildir.
type FileReader struct {
	keys keyLookup
}

// NewFileReader returns a FileReader that looks up DKIM keys at the DNS server resolver,
// or at the system's if resolver is empty.
func NewFileReader(resolver string) FileReader { return FileReader{newKeyLookup(resolver)} }

// NewOfflineFileReader returns a FileReader that makes no DNS queries. All reports that it
// reads are unverified.
func NewOfflineFileReader() FileReader { return FileReader{offline} }

// An Entry is the content of a file, or of one message of an mbox: a report, or an error
// that wraps [tlsrpt.ErrNotReport] or [tlsrpt.ErrTooLarge].
type Entry struct {
	Name   string // the file name, followed by #N for message N of an mbox
	Report ledger.Report
	Err    error
}

// Read reads the file or Maildir at path and calls each for every entry. It stops at the
// first error of each and returns it; any other error is one of reading.
//
// A report in a message is verified by its DKIM signature if the key is still published. The
// signature has to be valid at the time of receipt, which the verdict names. A report outside a
// message is unverified.
func (f FileReader) Read(ctx context.Context, path string, each func(Entry) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return f.readMaildir(ctx, path, each)
	}
	return f.readFile(ctx, path, receipt{}, each)
}

func (f FileReader) readFile(ctx context.Context, path string, mailbox receipt, each func(Entry) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return f.read(ctx, path, file, mailbox, each)
}

// readMaildir reads the messages in new and cur.
func (f FileReader) readMaildir(ctx context.Context, dir string, each func(Entry) error) error {
	if _, err := os.Stat(filepath.Join(dir, "cur")); err != nil {
		return fmt.Errorf("%s is a directory but not a Maildir: it has no cur", dir)
	}
	for _, part := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(dir, part))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.Type()&fs.ModeType != 0 { // not a regular file
				continue
			}
			if err := f.readFile(ctx, filepath.Join(dir, part, entry.Name()), maildirReceipt(entry.Name()), each); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReadFrom reads from r as Read reads from a file. The file name is that of the entries;
// if r is not a message, it may also contain the submitter (RFC 8460, Section 5.1).
func (f FileReader) ReadFrom(ctx context.Context, name string, r io.Reader, each func(Entry) error) error {
	return f.read(ctx, name, r, receipt{}, each)
}

func (f FileReader) read(ctx context.Context, name string, r io.Reader, mailbox receipt, each func(Entry) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(512)
	if err != nil && err != io.EOF {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte("From ")):
		return eachMessage(in, func(n int, received receipt, mail []byte, err error) error {
			return each(f.mailEntry(ctx, fmt.Sprintf("%s#%d", name, n), received, mail, err))
		})
	case isJSON(head), bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return each(reportEntry(name, in))
	}
	mail, err := io.ReadAll(io.LimitReader(in, tlsrpt.MaxMailSize+1))
	if err != nil {
		return err
	}
	if len(mail) > tlsrpt.MaxMailSize {
		err = errTooLong
	}
	return each(f.mailEntry(ctx, name, mailbox, mail, err))
}

func isJSON(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, "\ufeff \t\r\n"), []byte("{"))
}

// reportEntry reads a report outside a message.
func reportEntry(name string, r io.Reader) Entry {
	report, err := tlsrpt.Parse(r)
	if err != nil {
		return Entry{Name: name, Err: err}
	}
	e := Entry{Name: name}
	e.Report, e.Err = newReport(report)
	fileName, _ := tlsrpt.ParseFileName(filepath.Base(name))
	e.Report.Submitter, e.Report.Verdict = smtp.FoldDomain(fileName.Submitter), "read from a file that is not a signed message"
	return e.complete()
}

// mailEntry parses a message of a mailbox, which may know when it was received. The error is
// the one of reading the message.
func (f FileReader) mailEntry(ctx context.Context, name string, mailbox receipt, mail []byte, err error) Entry {
	e := Entry{Name: name, Err: err}
	if err == nil {
		received := receiptOf(mail, mailbox, time.Now())
		e.Report, _, e.Err = parseMail(mail, lookUpKeys(ctx, f.keys, mail, received).Verify(), received)
	}
	return e.complete()
}

func (e Entry) complete() Entry {
	e.Report.Via, e.Report.At = ledger.ByFile, time.Now()
	warnIfInFuture(&e.Report)
	return e
}

// eachMessage calls do for each message of an mbox (RFC 4155), numbered from 1, or for the
// error if a message is too large. It removes a ">" from quoted "From " lines, as in mboxrd.
func eachMessage(in *bufio.Reader, do func(n int, received receipt, mail []byte, err error) error) error {
	m := mbox{do: do, afterBlank: true}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if stop := m.addLine(line); stop != nil {
			return stop
		}
		m.continued = err == bufio.ErrBufferFull
		if err == io.EOF {
			return m.endMessage()
		}
	}
}

// An mbox splits an mbox into messages.
type mbox struct {
	do         func(n int, received receipt, mail []byte, err error) error
	n          int // the current message
	received   receipt
	mail       bytes.Buffer
	tooLong    bool
	afterBlank bool // the line before was empty
	continued  bool // the line has already begun
	separator  bool // the line begins a message
}

// addLine adds the next line, or the next part of a long one.
func (m *mbox) addLine(line []byte) error {
	if !m.continued {
		if m.separator = m.afterBlank && bytes.HasPrefix(line, []byte("From ")); m.separator {
			m.afterBlank = false
			err := m.endMessage()
			m.n, m.received = m.n+1, mboxReceipt(line)
			return err
		}
		m.afterBlank = len(bytes.TrimRight(line, "\r\n")) == 0
		if quoted := bytes.TrimLeft(line, ">"); len(quoted) < len(line) && bytes.HasPrefix(quoted, []byte("From ")) {
			line = line[1:]
		}
	}
	if m.separator {
		return nil
	}
	if m.tooLong = m.tooLong || m.mail.Len()+len(line) > tlsrpt.MaxMailSize; !m.tooLong {
		m.mail.Write(line)
	}
	return nil
}

// endMessage passes the current message to do, if there is one. The message keeps the
// blank line that the format adds: DKIM ignores it (RFC 6376, Section 3.4.3).
func (m *mbox) endMessage() (err error) {
	if m.n > 0 {
		if m.tooLong {
			err = errTooLong
		}
		err = m.do(m.n, m.received, m.mail.Bytes(), err)
	}
	m.mail.Reset()
	m.tooLong = false
	return err
}
