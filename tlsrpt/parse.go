package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxReportSize is the largest report that [Parse] reads, in bytes, before and after
// decompression. A failure with all its fields takes about 300 bytes.
const MaxReportSize = 8 << 20

// Parse reads one TLS report from r: JSON as in RFC 8460, Section 4.4, plain or
// compressed with gzip. It detects the compression.
//
// A report has policies and at least one of organization-name, date-range and
// report-id. Anything else may be missing or malformed, which adds to
// [Report.Warnings].
//
// The error wraps [ErrNotReport], [ErrTooLarge] or the error of r.
func Parse(r io.Reader) (*Report, error) {
	data, err := readAll(r)
	if err != nil {
		return nil, fmt.Errorf("tlsrpt: reading report: %w", err)
	}
	report, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("tlsrpt: %w", err)
	}
	return report, nil
}

// parse reads a report from at most MaxReportSize bytes, compressed or not.
func parse(data []byte) (*Report, error) {
	var warn warnings
	if isGzip(data) {
		var err error
		if data, err = decompress(data, &warn); err != nil {
			return nil, err
		}
	}
	return parseJSON(data, warn)
}

// readAll reads at most MaxReportSize bytes. With an error it returns what it has read,
// or nil if that was too much.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxReportSize+1))
	if len(data) > MaxReportSize {
		return nil, fmt.Errorf("report of more than %d bytes: %w", MaxReportSize, ErrTooLarge)
	}
	return data, err
}

// isGzip looks for the magic number of RFC 1952, Section 2.3.1: file names and media
// types are often wrong.
func isGzip(data []byte) bool { return bytes.HasPrefix(data, []byte("\x1f\x8b")) }

// decompress tolerates a damaged end: whether the report is complete shows in its JSON.
func decompress(data []byte, warn *warnings) ([]byte, error) {
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: gzip: %w", ErrNotReport, err)
	}
	plain, err := readAll(compressed)
	switch {
	case err == nil:
	case plain == nil:
		return nil, fmt.Errorf("decompressed: %w", err)
	default:
		warn.add("", "gzip data is damaged at its end: %v", err)
	}
	return plain, nil
}

func parseJSON(data []byte, warn warnings) (*Report, error) {
	if trimmed, found := bytes.CutPrefix(data, []byte("\ufeff")); found {
		warn.add("", "begins with a byte order mark")
		data = trimmed
	}
	if !utf8.Valid(data) {
		warn.add("", "is not UTF-8: invalid bytes were replaced")
		data = bytes.ToValidUTF8(data, []byte("\ufffd"))
	}
	if err := checkComplexity(data); err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	return parseReport(object{fields: fields, warn: &warn})
}

// UnmarshalJSON implements [json.Unmarshaler]. It parses data as [Parse] does.
func (r *Report) UnmarshalJSON(data []byte) error {
	report, err := Parse(bytes.NewReader(data))
	if err != nil {
		return err
	}
	*r = *report
	return nil
}

// maxDepth and maxValues bound the memory that a report needs, however it is written.
// A genuine report is nested 6 levels deep. A failure has up to 8 values, so 25,000
// failures fit.
const (
	maxDepth  = 32
	maxValues = 200_000
)

// checkComplexity counts levels and values before encoding/json allocates them. It does
// not need valid JSON: invalid JSON is rejected later.
func checkComplexity(data []byte) error {
	depth, values := 0, 1
	inString, escaped := false, false
	for _, b := range data {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = b == '\\', b != '"'
		case b == '"':
			inString = true
		case b == '{', b == '[':
			depth++
			values++ // the first value inside has no comma before it
		case b == '}', b == ']':
			depth--
		case b == ',':
			values++
		}
		if depth > maxDepth {
			return fmt.Errorf("JSON nested more than %d deep: %w", maxDepth, ErrTooLarge)
		}
		if values > maxValues {
			return fmt.Errorf("JSON of more than %d values: %w", maxValues, ErrTooLarge)
		}
	}
	return nil
}

// parseReport reads the outermost object, in the order of RFC 8460, Section 4.4.
func parseReport(o object) (*Report, error) {
	if err := checkIsReport(o); err != nil {
		return nil, err
	}
	r := new(Report)
	o.expect("organization-name", "date-range", "contact-info", "report-id")
	r.Organization = o.text("organization-name")
	r.parseDateRange(o)
	r.Contact = o.text("contact-info")
	r.ID = o.text("report-id")
	if strings.HasSuffix(r.ID, "+") {
		o.warnf("report-id", "ends in \"+\" without a domain after it")
	}
	policies, err := o.objects("policies")
	if err != nil {
		return nil, err
	}
	if len(policies) == 0 {
		o.warnf("policies", "is an empty array")
	}
	for _, p := range policies {
		result, err := parseResult(p)
		if err != nil {
			return nil, err
		}
		r.Policies = append(r.Policies, result)
	}
	r.Extra = o.extra()
	r.Warnings = *o.warn
	return r, nil
}

// checkIsReport tells a report from other JSON.
func checkIsReport(o object) error {
	raw, present := o.fields["policies"]
	if !present || raw[0] != '[' {
		return fmt.Errorf("%w: no array of policies", ErrNotReport)
	}
	for _, name := range []string{"organization-name", "date-range", "report-id"} {
		if _, present := o.fields[name]; present {
			return nil
		}
	}
	return fmt.Errorf("%w: no organization-name, date-range or report-id", ErrNotReport)
}

func (r *Report) parseDateRange(o object) {
	if _, present := o.fields["date-range"]; !present {
		return
	}
	span := o.object("date-range")
	span.expect("start-datetime", "end-datetime")
	r.Start, r.End = span.time("start-datetime"), span.time("end-datetime")
	if r.End.Before(r.Start) && !r.End.IsZero() {
		o.warnf("date-range", "ends before it starts")
	}
	o.putBack("date-range", span)
}

func parseResult(o object) (p PolicyResult, err error) {
	o.expect("policy", "summary")
	p.Policy = parsePolicy(o)
	summary := o.object("summary")
	if summary.fields != nil {
		summary.expect("total-successful-session-count", "total-failure-session-count")
	}
	p.Successful = summary.count("total-successful-session-count")
	p.Failed = summary.count("total-failure-session-count")
	o.putBack("summary", summary)
	failures, err := o.objects("failure-details")
	if err != nil {
		return p, err
	}
	for _, f := range failures {
		p.Failures = append(p.Failures, parseFailure(f))
	}
	p.check(o)
	p.Extra = o.extra()
	return p, nil
}

func parsePolicy(o object) (p Policy) {
	inner := o.object("policy")
	if inner.fields == nil {
		return p
	}
	inner.expect("policy-type", "policy-domain")
	p.Type = PolicyType(inner.text("policy-type"))
	if !p.Type.known() && p.Type != "" {
		inner.warnf("policy-type", "%s is not defined in RFC 8460", quoted(string(p.Type)))
	}
	if p.Type != NoPolicy {
		inner.expect("policy-string")
	}
	p.Strings = inner.texts("policy-string")
	p.Domain = inner.text("policy-domain")
	p.MXHosts = inner.texts("mx-host") // Section 4.4 has a string, Appendix B an array
	p.Extra = inner.extra()
	return p
}

func parseFailure(o object) (f Failure) {
	o.expect("result-type", "failed-session-count")
	f.Result = ResultType(o.text("result-type"))
	if !f.Result.known() && f.Result != "" {
		o.warnf("result-type", "%s is not defined in RFC 8460", quoted(string(f.Result)))
	}
	f.SendingMTA = o.addr("sending-mta-ip")
	f.ReceivingMX = o.text("receiving-mx-hostname")
	f.ReceivingHELO = o.text("receiving-mx-helo")
	f.ReceivingIP = o.addr("receiving-ip")
	f.Sessions = o.count("failed-session-count")
	f.AdditionalInfo = o.text("additional-information")
	f.ReasonCode = o.text("failure-reason-code")
	f.Extra = o.extra()
	return f
}

// check warns about fields that are missing or contradict each other.
func (p *PolicyResult) check(o object) {
	sum := p.DetailedSessions()
	for i, f := range p.Failures {
		f.check(object{path: fmt.Sprintf("%s[%d]", o.pathOf("failure-details"), i), warn: o.warn}, p.Policy.Type)
	}
	switch {
	case len(p.Failures) == 0 && p.Failed > 0:
		o.warnf("failure-details", "are missing for %d failed sessions", p.Failed)
	case sum != p.Failed:
		o.warnf("summary.total-failure-session-count", "is %d, but failure-details add up to %d", p.Failed, sum)
	}
}

// check warns about missing details.
func (f Failure) check(o object, policy PolicyType) {
	switch {
	case f.bare() && f.Result == ValidationFailure && policy == PolicySTS:
		o.warn.add(o.path, "has no details: some senders count unfinished handshakes this way (golang/go#70232)")
	case f.bare():
		o.warn.add(o.path, "has no details")
	case !f.SendingMTA.IsValid() && !f.ReceivingIP.IsValid():
		o.warn.add(o.path, "has no addresses")
	}
}

// bare reports whether a failure has only a type and a number.
func (f Failure) bare() bool {
	return !f.SendingMTA.IsValid() && !f.ReceivingIP.IsValid() && f.Extra == nil &&
		f.ReceivingMX+f.ReceivingHELO+f.AdditionalInfo+f.ReasonCode == ""
}
