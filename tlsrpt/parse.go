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

// MaxReportSize bounds a report, in bytes, before and after decompression. One failure with
// all its fields takes some 300, so that there is room for more than maxValues lets in.
const MaxReportSize = 8 << 20

// Parse reads one TLS report from r: the JSON of RFC 8460, Section 4.4, gzip-compressed or not,
// whichever it is. At most [MaxReportSize] bytes are read, and as many decompressed.
//
// It returns an error that wraps [ErrNotReport] or [ErrTooLarge], or the error of r. A report
// has policies and one thing at least that says whose or when; all else may be missing or odd, and
// then [Report.Warnings] says so.
//
// Parse keeps no reference to r.
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

// parse reads a report out of at most MaxReportSize bytes, compressed or not.
func parse(data []byte) (*Report, error) {
	var warn warnings
	if compressed(data) {
		var err error
		if data, err = decompress(data, &warn); err != nil {
			return nil, err
		}
	}
	return parseJSON(data, warn)
}

// readAll reads at most MaxReportSize bytes, and gives what it has read with any error.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxReportSize+1))
	if len(data) > MaxReportSize {
		return nil, fmt.Errorf("report of more than %d bytes: %w", MaxReportSize, ErrTooLarge)
	}
	return data, err
}

// compressed looks at the magic number, RFC 1952, Section 2.3.1: names and types lie.
func compressed(data []byte) bool { return bytes.HasPrefix(data, []byte("\x1f\x8b")) }

// decompress forgives a damaged end, since a mail may have lost it and the JSON says
// itself whether it is whole.
func decompress(data []byte, warn *warnings) ([]byte, error) {
	zipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: gzip: %w", ErrNotReport, err)
	}
	plain, err := readAll(zipped)
	switch {
	case err == nil:
	case plain == nil:
		return nil, fmt.Errorf("decompressed: %w", err)
	default:
		warn.add("", "gzip is damaged at its end (%v)", err)
	}
	return plain, nil
}

func parseJSON(data []byte, warn warnings) (*Report, error) {
	if trimmed, marked := bytes.CutPrefix(data, []byte("\ufeff")); marked {
		warn.add("", "begins with a byte order mark")
		data = trimmed
	}
	if !utf8.Valid(data) {
		warn.add("", "is not UTF-8: what is not was replaced")
		data = bytes.ToValidUTF8(data, []byte("\ufffd"))
	}
	if err := checkShape(data); err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotReport, err)
	}
	return readReport(object{fields: fields, warn: &warn})
}

// UnmarshalJSON is [Parse] for encoding/json.
func (r *Report) UnmarshalJSON(data []byte) error {
	report, err := Parse(bytes.NewReader(data))
	if err != nil {
		return err
	}
	*r = *report
	return nil
}

// These bound what a report costs in memory, whatever its bytes. A report nests 6 deep; one
// failure has up to 8 values, so that there is room for 25,000 failures.
const (
	maxDepth  = 32
	maxValues = 200_000
)

// checkShape counts before anything is built. It needs no valid JSON: what is none is
// refused afterwards.
func checkShape(data []byte) error {
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
			values++ // what opens may hold a first value without a comma
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

// readReport takes the outermost object apart, in the order of RFC 8460, Section 4.4.
func readReport(o object) (*Report, error) {
	if err := checkReport(o); err != nil {
		return nil, err
	}
	r := new(Report)
	o.need("organization-name", "date-range", "contact-info", "report-id")
	r.Organization = o.text("organization-name")
	r.readRange(o)
	r.Contact = o.text("contact-info")
	r.ID = o.text("report-id")
	if strings.HasSuffix(r.ID, "+") {
		o.warnf("report-id", "ends in + without a domain behind it")
	}
	policies, err := o.objects("policies")
	if err != nil {
		return nil, err
	}
	if len(policies) == 0 {
		o.warnf("policies", "is an empty array")
	}
	for _, p := range policies {
		result, err := readResult(p)
		if err != nil {
			return nil, err
		}
		r.Policies = append(r.Policies, result)
	}
	r.Extra = o.rest()
	r.Warnings = *o.warn
	return r, nil
}

// checkReport tells a report from other JSON.
func checkReport(o object) error {
	raw, present := o.fields["policies"]
	if !present || raw[0] != '[' {
		return fmt.Errorf("%w: it has no array of policies", ErrNotReport)
	}
	for _, name := range []string{"organization-name", "date-range", "report-id"} {
		if _, present := o.fields[name]; present {
			return nil
		}
	}
	return fmt.Errorf("%w: it has no organization-name, date-range or report-id", ErrNotReport)
}

func (r *Report) readRange(o object) {
	if _, present := o.fields["date-range"]; !present {
		return
	}
	span := o.object("date-range")
	span.need("start-datetime", "end-datetime")
	r.Start, r.End = span.time("start-datetime"), span.time("end-datetime")
	if r.End.Before(r.Start) && !r.End.IsZero() {
		o.warnf("date-range", "ends before it starts")
	}
	o.putBack("date-range", span)
}

func readResult(o object) (p PolicyResult, err error) {
	o.need("policy", "summary")
	p.Policy = readPolicy(o)
	summary := o.object("summary")
	if summary.fields != nil {
		summary.need("total-successful-session-count", "total-failure-session-count")
	}
	p.Successful = summary.count("total-successful-session-count")
	p.Failed = summary.count("total-failure-session-count")
	o.putBack("summary", summary)
	failures, err := o.objects("failure-details")
	if err != nil {
		return p, err
	}
	for _, f := range failures {
		p.Failures = append(p.Failures, readFailure(f))
	}
	p.check(o)
	p.Extra = o.rest()
	return p, nil
}

func readPolicy(o object) (p Policy) {
	inner := o.object("policy")
	if inner.fields == nil {
		return p
	}
	inner.need("policy-type", "policy-domain")
	p.Type = PolicyType(inner.text("policy-type"))
	if !p.Type.Known() && p.Type != "" {
		inner.warnf("policy-type", "%.80q is not known to RFC 8460", p.Type)
	}
	if p.Type != NoPolicy {
		inner.need("policy-string")
	}
	p.Strings = inner.texts("policy-string")
	p.Domain = inner.text("policy-domain")
	p.MXHosts = inner.texts("mx-host") // Section 4.4 has a string, Appendix B an array
	p.Extra = inner.rest()
	return p
}

func readFailure(o object) (f Failure) {
	o.need("result-type", "failed-session-count")
	f.Result = ResultType(o.text("result-type"))
	if !f.Result.Known() && f.Result != "" {
		o.warnf("result-type", "%.80q is not known to RFC 8460", f.Result)
	}
	f.SendingMTA = o.addr("sending-mta-ip")
	f.ReceivingMX = o.text("receiving-mx-hostname")
	f.ReceivingHelo = o.text("receiving-mx-helo")
	f.ReceivingIP = o.addr("receiving-ip")
	f.Sessions = o.count("failed-session-count")
	f.AdditionalInfo = o.text("additional-information")
	f.ReasonCode = o.text("failure-reason-code")
	f.Extra = o.rest()
	return f
}

// check warns of what is odd about a result as a whole.
func (p *PolicyResult) check(o object) {
	var sum int64
	for i, f := range p.Failures {
		sum += f.Sessions
		f.check(object{path: fmt.Sprintf("%s[%d]", o.at("failure-details"), i), warn: o.warn}, p.Policy.Type)
	}
	switch {
	case len(p.Failures) == 0 && p.Failed > 0:
		o.warnf("failure-details", "are missing for %d failed sessions", p.Failed)
	case sum != p.Failed:
		o.warnf("summary.total-failure-session-count", "says %d, the details add up to %d", p.Failed, sum)
	}
}

// check warns of what a failure does not say.
func (f Failure) check(o object, policy PolicyType) {
	switch {
	case f.bare() && f.Result == ValidationFailure && policy == PolicySTS:
		o.warn.add(o.path, "has no detail: handshakes that did not end were so counted too (golang/go#70232)")
	case f.bare():
		o.warn.add(o.path, "has no detail")
	case !f.SendingMTA.IsValid() && !f.ReceivingIP.IsValid():
		o.warn.add(o.path, "has no addresses")
	}
}

// bare tells whether a failure is a type and a number and no more.
func (f Failure) bare() bool {
	return !f.SendingMTA.IsValid() && !f.ReceivingIP.IsValid() && f.Extra == nil &&
		f.ReceivingMX+f.ReceivingHelo+f.AdditionalInfo+f.ReasonCode == ""
}
