package tlsrpt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-message"

	"postern/internal/safetext"
)

// MaxMailSize is the largest message that [ParseMail] reads, in bytes: a report of
// MaxReportSize in base64, and headers.
const MaxMailSize = 12 << 20

const (
	// maxLines bounds the lines of a message, since each takes as long as some 30 bytes, and a
	// header field longer. The largest report has 165,000.
	maxLines = 500_000

	maxParts      = 100 // a report has 3, a forwarded one a few more
	maxPartDepth  = 8
	maxCandidates = 4 // parts that look like a report and are not
)

// A Mail is a message that contains a report (RFC 8460, Section 5.3).
type Mail struct {
	// Domain and Submitter are the header fields TLS-Report-Domain and
	// TLS-Report-Submitter of the message.
	Domain, Submitter string

	// FileName is the file name of the part with the report. Name is what
	// [ParseFileName] reads from it, zero if it does not have the RFC's form.
	FileName string
	Name     FileName

	Report *Report

	// Warnings are the oddities of the message. The report has its own.
	Warnings []Warning
}

// ParseMail reads a message of at most [MaxMailSize] bytes and 500,000 lines, and returns the
// first report in it. It finds the report by its content, at any level of nesting, whatever its file
// name, media type and encoding.
//
// The error wraps [ErrNotReport], [ErrTooLarge] or the error of r.
func ParseMail(r io.Reader) (*Mail, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxMailSize+1))
	if err == nil && len(data) > MaxMailSize {
		err = fmt.Errorf("more than %d bytes: %w", MaxMailSize, ErrTooLarge)
	}
	if err == nil && bytes.Count(data, []byte("\n")) > maxLines {
		err = fmt.Errorf("more than %d lines: %w", maxLines, ErrTooLarge)
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
		return unreadable(err)
	}
	var warn warnings
	checkHeader(top, &warn)
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
	case s.rejected != nil:
		return s.rejected
	case err != nil:
		return unreadable(err)
	}
	return fmt.Errorf("%w: none found (parts searched: %d)", ErrNotReport, s.parts)
}

// maxErrorText bounds an error that quotes the mail, in characters.
const maxErrorText = 200

// unreadable returns an error for a mail that cannot be read. The parser's error can quote a
// whole line of it.
func unreadable(err error) error {
	return fmt.Errorf("%w: %s", ErrNotReport, safetext.Shorten(err.Error(), maxErrorText))
}

// checkHeader warns about the header of the message.
func checkHeader(top *message.Entity, warn *warnings) {
	kind, params, err := top.Header.ContentType()
	if err != nil || kind != "multipart/report" || !strings.EqualFold(params["report-type"], "tlsrpt") {
		warn.add("Content-Type", "%s is not multipart/report; report-type=tlsrpt", quoted(top.Header.Get("Content-Type")))
	}
	for _, name := range []string{"TLS-Report-Domain", "TLS-Report-Submitter"} {
		if !top.Header.Has(name) {
			warn.add(name, "is missing")
		}
	}
}

// check warns if message and report contradict each other.
func (m *Mail) check() {
	warn := warnings(m.Warnings)
	if m.Domain != "" && !m.Report.covers(m.Domain) {
		warn.add("TLS-Report-Domain", "is %s, but the report is about other domains", quoted(m.Domain))
	}
	if m.Name.Domain != "" && !m.Report.covers(m.Name.Domain) {
		warn.add("file name", "names %s, but the report is about other domains", quoted(m.Name.Domain))
	}
	if start := m.Name.Start; !start.IsZero() && !m.Report.Start.IsZero() && !start.Equal(m.Report.Start) {
		warn.add("file name", "gives the start %s, but the report starts at %s", formatTime(start), formatTime(m.Report.Start))
	}
	m.Warnings = warn
}

// covers reports whether the report is about a domain. A report that names no domain may
// be about any, and one about DANE names MX hosts (RFC 8460, Section 1.1).
func (r *Report) covers(domain string) bool {
	named := false
	for _, p := range r.Policies {
		if strings.EqualFold(strings.TrimSuffix(p.Policy.Domain, "."), strings.TrimSuffix(domain, ".")) {
			return true
		}
		named = named || p.Policy.Domain != "" && p.Policy.Type != PolicyTLSA
	}
	return !named
}

// A search walks through the parts of a message until one contains a report.
type search struct {
	mail       *Mail
	warn       *warnings
	parts      int
	candidates int
	rejected   error // why the most likely candidate is not a report
}

// entity searches one part. The error is the one that came with it.
func (s *search) entity(e *message.Entity, err error, depth int) error {
	if s.parts++; s.parts > maxParts {
		return fmt.Errorf("more than %d parts: %w", maxParts, ErrTooLarge)
	}
	if depth > maxPartDepth {
		return fmt.Errorf("parts nested more than %d deep: %w", maxPartDepth, ErrTooLarge)
	}
	if message.IsUnknownEncoding(err) {
		e = s.fixEncoding(e)
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
		s.warn.add("", "the report is in a forwarded message")
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

// fixEncoding reads only the first word of a malformed Content-Transfer-Encoding. If that is no
// known encoding either, the body is read as it is.
func (s *search) fixEncoding(e *message.Entity) *message.Entity {
	const name = "Content-Transfer-Encoding"
	given := e.Header.Get(name)
	s.warn.add(name, "%s is not a known encoding", quoted(given))
	words := strings.FieldsFunc(given, func(r rune) bool { return strings.ContainsRune(" \t\"';,()", r) })
	header := e.Header.Copy()
	header.Set(name, append(words, "")[0])
	fixed, _ := message.New(header, e.Body)
	return fixed
}

// leaf parses a part without parts of its own if it may be a report.
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
		return s.reject(declared, err)
	}
	s.mail.Report, s.mail.FileName = report, name
	s.checkPart(kind, isGzip(data), damage)
	return nil
}

// reject records why a candidate is not a report. The error of a part that is declared
// as a report takes precedence. It returns an error if there were too many candidates.
func (s *search) reject(declared bool, err error) error {
	if s.rejected == nil || declared {
		s.rejected = err
	}
	if s.candidates++; s.candidates == maxCandidates {
		return s.rejected
	}
	return nil
}

func looksLikeReport(name string, data []byte) bool {
	if isGzip(data) || bytes.HasPrefix(bytes.TrimLeft(data, "\ufeff \t\r\n"), []byte("{")) {
		return true
	}
	_, gz := cutSuffixFold(name, ".gz")
	_, json := cutSuffixFold(name, ".json")
	return gz || json
}

// fileName returns the file name of a part. It decodes encoded words and RFC 2231.
func fileName(h *message.Header) string {
	_, disposition, _ := h.ContentDisposition()
	_, kind, _ := h.ContentType()
	return cmp.Or(disposition["filename"], kind["name"])
}

// checkPart warns about the part that contains the report.
func (s *search) checkPart(kind string, gzip bool, damage error) {
	right := "application/tlsrpt+json"
	if gzip {
		right = "application/tlsrpt+gzip"
	}
	if kind != right {
		s.warn.add("Content-Type", "the report has the type %s, but is %s", quoted(kind), right)
	}
	if damage != nil {
		s.warn.add("Content-Transfer-Encoding", "the report is damaged: %s", quoted(damage.Error()))
	}
	var ok bool
	if s.mail.Name, ok = ParseFileName(s.mail.FileName); !ok {
		s.warn.add("file name", "%s does not have the form submitter!domain!start!end!id.json.gz", quoted(s.mail.FileName))
	}
}

// A FileName is the content of a report's file name (RFC 8460, Section 5.1), which has
// the form submitter!domain!start!end!id.json.gz. ID is optional.
type FileName struct {
	Submitter, Domain string
	Start, End        time.Time // in UTC
	ID                string
}

// ParseFileName parses a file name, which may have a directory before it and .json or
// .json.gz after it. It reports whether the name has the RFC's form.
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
