package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
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
