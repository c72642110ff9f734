package tlsrpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

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
