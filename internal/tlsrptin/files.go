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

// A FileReader reads reports that somebody has as files: JSON, compressed or not, a mail, an mbox,
// a Maildir.
type FileReader struct {
	keys keys
}

// NewFileReader makes a Hand that asks the DNS server at resolver for the keys of signatures; empty:
// the system's.
func NewFileReader(resolver string) FileReader { return FileReader{newKeys(resolver)} }

// NewOfflineFileReader makes a Hand that asks nobody for keys, so that it trusts no signature.
func NewOfflineFileReader() FileReader { return FileReader{keys{noKeys}} }

// A Entry is what one mail or file holds: a report, or an error that wraps
// [tlsrpt.ErrNotReport] or [tlsrpt.ErrTooLarge].
type Entry struct {
	Name   string // the file's; with #N behind it the N-th mail of an mbox
	Report ledger.Report
	Err    error
}

// Read reads the file or the Maildir at path and calls each with all it finds there, until that
// gives an error. The error is that, or says what cannot be read.
//
// A report in a mail is trusted by its signature as one that comes by mail, if DNS answers and
// still has the key. One that is not in a mail is not trusted.
func (h FileReader) Read(ctx context.Context, path string, each func(Entry) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return h.maildir(ctx, path, each)
	}
	return h.file(ctx, path, each)
}

func (h FileReader) file(ctx context.Context, path string, each func(Entry) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return h.ReadFrom(ctx, path, f, each)
}

// maildir reads the mails of a Maildir, the new and the old.
func (h FileReader) maildir(ctx context.Context, dir string, each func(Entry) error) error {
	if _, err := os.Stat(filepath.Join(dir, "cur")); err != nil {
		return fmt.Errorf("%s is a folder and no Maildir: it has no cur", dir)
	}
	for _, part := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(dir, part))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.Type()&fs.ModeType != 0 { // no file
				continue
			}
			if err := h.file(ctx, filepath.Join(dir, part, entry.Name()), each); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReadFrom is Read for what r holds. The name is for Found, and tells of a report that is
// no mail what a file's name does.
func (h FileReader) ReadFrom(ctx context.Context, name string, r io.Reader, each func(Entry) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(512)
	if err != nil && err != io.EOF {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte("From ")):
		return eachMail(in, func(n int, mail []byte, err error) error {
			return each(h.mail(ctx, fmt.Sprintf("%s#%d", name, n), mail, err))
		})
	case isJSON(head), bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return each(h.report(name, in))
	}
	mail, err := io.ReadAll(io.LimitReader(in, tlsrpt.MaxMailSize+1))
	if err != nil {
		return err
	}
	if len(mail) > tlsrpt.MaxMailSize {
		err = errLong
	}
	return each(h.mail(ctx, name, mail, err))
}

func isJSON(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, "\ufeff \t\r\n"), []byte("{"))
}

// report reads one that is no mail.
func (h FileReader) report(name string, r io.Reader) Entry {
	report, err := tlsrpt.Parse(r)
	if err != nil {
		return Entry{Name: name, Err: err}
	}
	found := Entry{Name: name}
	found.Report, found.Err = ofReport(report)
	told, _ := tlsrpt.ParseFileName(filepath.Base(name))
	found.Report.Submitter, found.Report.Verdict = smtp.FoldDomain(told.Submitter), "came by hand, and not as a mail that is signed"
	return found.byHand()
}

// mail reads one that came with err.
func (h FileReader) mail(ctx context.Context, name string, mail []byte, err error) Entry {
	found := Entry{Name: name, Err: err}
	if err == nil {
		found.Report, _, found.Err = readMail(mail, h.keys.signatures(ctx, mail))
	}
	return found.byHand()
}

func (f Entry) byHand() Entry {
	f.Report.Via, f.Report.At = ledger.ByFile, time.Now()
	warnOfFuture(&f.Report)
	return f
}

// eachMail calls do with the mails of an mbox (RFC 4155), numbered from 1. One that is too large
// comes as an error. Lines that were quoted with ">" lose that, as mboxrd has it.
func eachMail(in *bufio.Reader, do func(n int, mail []byte, err error) error) error {
	m := mbox{do: do, blank: true}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if stop := m.take(line); stop != nil {
			return stop
		}
		m.within = err == bufio.ErrBufferFull
		if err == io.EOF {
			return m.end()
		}
	}
}

// An mbox is one that is read: the mail at hand.
type mbox struct {
	do     func(n int, mail []byte, err error) error
	n      int
	mail   bytes.Buffer
	long   bool
	blank  bool // the line before was empty
	within bool // the line has begun already
	from   bool // it is one that begins a mail
}

// take takes the next line, or the next part of one.
func (m *mbox) take(line []byte) error {
	if !m.within {
		if m.from = m.blank && bytes.HasPrefix(line, []byte("From ")); m.from {
			m.blank = false
			err := m.end()
			m.n++
			return err
		}
		m.blank = len(bytes.TrimRight(line, "\r\n")) == 0
		if quoted := bytes.TrimLeft(line, ">"); len(quoted) < len(line) && bytes.HasPrefix(quoted, []byte("From ")) {
			line = line[1:]
		}
	}
	if m.from {
		return nil
	}
	if m.long = m.long || m.mail.Len()+len(line) > tlsrpt.MaxMailSize; !m.long {
		m.mail.Write(line)
	}
	return nil
}

// end hands out the mail at hand, if there is one. It keeps the empty line at its end that
// the format adds: no signature minds it (RFC 6376, Section 3.4.3).
func (m *mbox) end() (err error) {
	if m.n > 0 {
		if m.long {
			err = errLong
		}
		err = m.do(m.n, m.mail.Bytes(), err)
	}
	m.mail.Reset()
	m.long = false
	return err
}
