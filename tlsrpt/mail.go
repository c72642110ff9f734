package tlsrpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-message"
)

const (
	// MaxMailSize bounds a report's mail, in bytes: a report of MaxReportSize in base64, and
	// room for the rest.
	MaxMailSize = 12 << 20

	maxParts     = 100 // a report's mail has 3, one that was forwarded a few more
	maxPartDepth = 8
	maxTries     = 4 // parts that could be a report and are none
)

// A Mail is a report as it came by mail, RFC 8460, Section 5.3.
type Mail struct {
	// Domain and Submitter are TLS-Report-Domain and TLS-Report-Submitter of the outermost header.
	Domain, Submitter string

	// FileName is the name of the report's part as given, Name what it tells; zero when
	// it is not of the RFC's form.
	FileName string
	Name     FileName

	Report *Report

	// Warnings name what was odd about the mail; the report has its own.
	Warnings []Warning
}

// ParseMail reads a mail of at most [MaxMailSize] bytes and the first report in it, however the part
// that holds it is nested, named, typed and encoded.
//
// It returns an error that wraps [ErrNotReport] or [ErrTooLarge], or the error of r. ParseMail keeps
// no reference to r.
func ParseMail(r io.Reader) (*Mail, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxMailSize+1))
	if err == nil && len(data) > MaxMailSize {
		err = fmt.Errorf("more than %d bytes: %w", MaxMailSize, ErrTooLarge)
	}
	if err != nil {
		return nil, fmt.Errorf("tlsrpt: reading mail: %w", err)
	}
	var m Mail
	if err := m.parse(data); err != nil {
		return nil, fmt.Errorf("tlsrpt: mail: %w", err)
	}
	return &m, nil
}

func (m *Mail) parse(data []byte) error {
	top, err := message.Read(bytes.NewReader(data))
	if top == nil {
		return fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	var warn warnings
	checkTop(top, &warn)
	m.Domain, _ = top.Header.Text("TLS-Report-Domain")
	m.Submitter, _ = top.Header.Text("TLS-Report-Submitter")

	s := search{mail: m, warn: &warn}
	err = s.entity(top, err, 0)
	m.Warnings = warn
	switch {
	case m.Report != nil:
		m.check()
		return nil
	case errors.Is(err, ErrTooLarge):
		return err
	case s.fault != nil:
		return s.fault
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	return fmt.Errorf("%w: no part of %d holds one", ErrNotReport, s.parts)
}

func checkTop(top *message.Entity, warn *warnings) {
	kind, params, err := top.Header.ContentType()
	if err != nil || kind != "multipart/report" || !strings.EqualFold(params["report-type"], "tlsrpt") {
		warn.add("Content-Type", "%.80q is not multipart/report; report-type=tlsrpt", top.Header.Get("Content-Type"))
	}
	for _, name := range []string{"TLS-Report-Domain", "TLS-Report-Submitter"} {
		if !top.Header.Has(name) {
			warn.add(name, "is missing")
		}
	}
}

// check warns where mail and report contradict each other.
func (m *Mail) check() {
	warn := warnings(m.Warnings)
	if m.Domain != "" && !m.Report.covers(m.Domain) {
		warn.add("TLS-Report-Domain", "is %.80q, the report is about other domains", m.Domain)
	}
	if m.Name.Domain != "" && !m.Report.covers(m.Name.Domain) {
		warn.add("file name", "says %.80q, the report is about other domains", m.Name.Domain)
	}
	if start := m.Name.Start; !start.IsZero() && !m.Report.Start.IsZero() && !start.Equal(m.Report.Start) {
		warn.add("file name", "says that the report starts at %s, the report %s", written(start), written(m.Report.Start))
	}
	m.Warnings = warn
}

// covers tells whether the report is about a domain; one that names none may be about any.
func (r *Report) covers(domain string) bool {
	named := false
	for _, p := range r.Policies {
		if strings.EqualFold(strings.TrimSuffix(p.Policy.Domain, "."), strings.TrimSuffix(domain, ".")) {
			return true
		}
		named = named || p.Policy.Domain != ""
	}
	return !named
}

// A search goes through a mail's parts until one holds a report.
type search struct {
	mail  *Mail
	warn  *warnings
	parts int
	tries int
	fault error // why the likeliest part was none
}

// entity searches one part, given the error that came with it.
func (s *search) entity(e *message.Entity, err error, depth int) error {
	if s.parts++; s.parts > maxParts {
		return fmt.Errorf("more than %d parts: %w", maxParts, ErrTooLarge)
	}
	if depth > maxPartDepth {
		return fmt.Errorf("parts nested more than %d deep: %w", maxPartDepth, ErrTooLarge)
	}
	if message.IsUnknownEncoding(err) {
		e = s.mendEncoding(e)
	}
	kind, _, _ := e.Header.ContentType()
	switch inner := e.MultipartReader(); {
	case inner != nil:
		return s.multipart(inner, depth)
	case kind == "message/rfc822" || kind == "message/global":
		forwarded, err := message.Read(e.Body)
		if forwarded == nil {
			return err
		}
		s.warn.add("", "the report lies in a forwarded mail")
		return s.entity(forwarded, err, depth+1)
	}
	return s.leaf(e, kind)
}

func (s *search) multipart(parts message.MultipartReader, depth int) error {
	for s.mail.Report == nil {
		part, err := parts.NextPart()
		if err == io.EOF {
			return nil
		}
		if part == nil {
			return err
		}
		if err := s.entity(part, err, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// mendEncoding reads a Content-Transfer-Encoding by its first word, and takes one that is
// not known even so for none.
func (s *search) mendEncoding(e *message.Entity) *message.Entity {
	const name = "Content-Transfer-Encoding"
	given := e.Header.Get(name)
	s.warn.add(name, "%.80q is not known", given)
	word := strings.FieldsFunc(given, func(r rune) bool { return strings.ContainsRune(" \t\"';,()", r) })
	header := e.Header.Copy()
	header.Del(name)
	if len(word) > 0 {
		header.Set(name, word[0])
	}
	mended, err := message.New(header, e.Body)
	if message.IsUnknownEncoding(err) {
		header.Del(name)
		mended, _ = message.New(header, e.Body)
	}
	return mended
}

// leaf reads the part if it may be a report.
func (s *search) leaf(e *message.Entity, kind string) error {
	name := fileName(&e.Header)
	data, damage := readAll(e.Body)
	if data == nil {
		return damage
	}
	declared := strings.HasPrefix(kind, "application/tlsrpt")
	if !declared && !looksLikeReport(name, data) {
		return nil
	}
	report, err := parse(data)
	if err != nil {
		return s.failed(declared, err)
	}
	s.mail.Report, s.mail.FileName = report, name
	s.checkPart(kind, compressed(data), damage)
	return nil
}

// failed remembers why a part is none, those before others that claim to be one. It ends the
// search when there were too many.
func (s *search) failed(declared bool, err error) error {
	if s.fault == nil || declared {
		s.fault = err
	}
	if s.tries++; s.tries == maxTries {
		return s.fault
	}
	return nil
}

func looksLikeReport(name string, data []byte) bool {
	if compressed(data) || bytes.HasPrefix(bytes.TrimLeft(data, "\ufeff \t\r\n"), []byte("{")) {
		return true
	}
	_, zipped := cutSuffixFold(name, ".gz")
	_, plain := cutSuffixFold(name, ".json")
	return zipped || plain
}

// fileName is where most mail programs put it; encoded words and RFC 2231 are read.
func fileName(h *message.Header) string {
	if _, params, err := h.ContentDisposition(); err == nil && params["filename"] != "" {
		return params["filename"]
	}
	_, params, _ := h.ContentType()
	return params["name"]
}

// checkPart warns of what is odd about the part that holds the report.
func (s *search) checkPart(kind string, zipped bool, damage error) {
	right := "application/tlsrpt+json"
	if zipped {
		right = "application/tlsrpt+gzip"
	}
	if kind != right {
		s.warn.add("Content-Type", "%.80q of the report's part, which is %s", kind, right)
	}
	if damage != nil {
		s.warn.add("Content-Transfer-Encoding", "the report's part is damaged (%.80q)", damage)
	}
	var ok bool
	if s.mail.Name, ok = ParseFileName(s.mail.FileName); !ok {
		s.warn.add("file name", "%.80q is not submitter!domain!start!end!id.json.gz", s.mail.FileName)
	}
}

// A FileName is what the name of a report's file tells, RFC 8460, Section 5.3:
// submitter!domain!start!end!id.json.gz. ID is empty where the name has none.
type FileName struct {
	Submitter, Domain string
	Start, End        time.Time // in UTC
	ID                string
}

// ParseFileName reads a name with or without a folder before it and .json or .json.gz behind
// it. It tells whether the name has the RFC's form.
func ParseFileName(name string) (f FileName, ok bool) {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name, _ = cutSuffixFold(name, ".gz")
	name, _ = cutSuffixFold(name, ".json")
	parts := strings.Split(name, "!")
	if len(parts) < 4 || len(parts) > 5 {
		return FileName{}, false
	}
	f.Submitter, f.Domain = parts[0], parts[1]
	if len(parts) == 5 {
		f.ID = parts[4]
	}
	var started, ended bool
	f.Start, started = parseUnix(parts[2])
	f.End, ended = parseUnix(parts[3])
	if !started || !ended || f.Submitter == "" || f.Domain == "" {
		return FileName{}, false
	}
	return f, true
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if start := len(s) - len(suffix); start >= 0 && strings.EqualFold(s[start:], suffix) {
		return s[:start], true
	}
	return s, false
}

func parseUnix(s string) (time.Time, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	t := time.Unix(n, 0).UTC()
	return t, err == nil && plausible(t)
}
