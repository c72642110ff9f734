package tlsrpt

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"

	"postern/internal/txtrecord"
)

const recordVersion = "v=TLSRPTv1"

var (
	// ErrSyntax is wrapped by the error for a record that does not conform to RFC 8460.
	ErrSyntax = errors.New("not valid under RFC 8460")

	// ErrNoRecord is wrapped by the error of [FindRecord] if the domain publishes no TLS
	// reporting record.
	ErrNoRecord = errors.New("no TLS reporting record")

	// ErrMultipleRecords is wrapped by the error of [FindRecord] if the domain publishes
	// more than one TLS reporting record.
	ErrMultipleRecords = errors.New("more than one TLS reporting record")
)

// A Field is a name and value that RFC 8460 does not define, in a record.
type Field struct{ Name, Value string }

// A Record is a TLS reporting record: the TXT record at _smtp._tls.DOMAIN (RFC 8460,
// Section 3).
type Record struct {
	// RUA are the URIs that reports are sent to, at least one: mailto:ADDRESS or
	// https://…, with "!", "," and ";" percent-encoded.
	RUA []string

	// Extensions are the fields that RFC 8460 does not define, in order.
	Extensions []Field
}

// FindRecord parses the TLS reporting record among the TXT records of _smtp._tls.DOMAIN,
// each with its strings joined. It ignores records that do not begin with "v=TLSRPTv1;".
//
// The error wraps [ErrNoRecord], [ErrMultipleRecords] or [ErrSyntax]. In all three cases
// senders send no reports.
func FindRecord(records []string) (*Record, error) {
	switch found := txtrecord.Find(recordVersion, records); len(found) {
	case 0:
		return nil, fmt.Errorf("tlsrpt: %w: none begins with %q", ErrNoRecord, recordVersion+";")
	case 1:
		return ParseRecord(found[0])
	default:
		return nil, fmt.Errorf("tlsrpt: %w: %d begin with %q, leave one", ErrMultipleRecords, len(found), recordVersion+";")
	}
}

// ParseRecord parses one TXT record of at most 4 KiB. The error wraps [ErrSyntax].
func ParseRecord(text string) (*Record, error) {
	fields, err := txtrecord.Parse[Field](recordVersion, text)
	if err != nil {
		return nil, recordError(err)
	}
	r := new(Record)
	for _, f := range fields {
		if f.Name != "rua" {
			r.Extensions = append(r.Extensions, f)
			continue
		}
		for uri := range strings.SplitSeq(f.Value, ",") { // the grammar allows more than one rua
			r.RUA = append(r.RUA, strings.Trim(uri, " \t"))
		}
	}
	if err := r.check(); err != nil {
		return nil, recordError(err)
	}
	return r, nil
}

// String returns the record as it is published. Unlike [Record.MarshalText] it does not
// check it.
func (r *Record) String() string {
	rua := Field{Name: "rua", Value: strings.Join(r.RUA, ",")}
	return txtrecord.Format(recordVersion, append([]Field{rua}, r.Extensions...))
}

// MarshalText implements [encoding.TextMarshaler]. It returns the record as it is
// published. If [ParseRecord] would not read the same record back, the error wraps
// [ErrSyntax].
func (r *Record) MarshalText() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, recordError(err)
	}
	text := r.String()
	if len(text) > txtrecord.MaxSize {
		return nil, recordError(fmt.Errorf("record of %d bytes is longer than %d", len(text), txtrecord.MaxSize))
	}
	return []byte(text), nil
}

func (r *Record) check() error {
	if len(r.RUA) == 0 {
		return errors.New("no rua: add rua=mailto:ADDRESS, or rua= and an https URL")
	}
	for _, uri := range r.RUA {
		if err := checkURI(uri); err != nil {
			return fmt.Errorf("rua %s: %w", quoted(uri), err)
		}
	}
	for _, f := range r.Extensions {
		if f.Name == "rua" {
			return errors.New("rua is not an extension")
		}
		if err := txtrecord.CheckExtension(f.Name, f.Value); err != nil {
			return err
		}
	}
	return nil
}

func checkURI(uri string) error {
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("!,;", r) }) {
		return errors.New(`percent-encode "!", ",", ";", spaces and non-ASCII characters`)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return err
	}
	switch {
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "mailto":
		address, err := url.PathUnescape(u.Opaque)
		if err == nil {
			_, err = mail.ParseAddress(address)
		}
		return err
	}
	return errors.New("write mailto:ADDRESS or an https URL")
}

func recordError(err error) error { return fmt.Errorf("tlsrpt: record is %w: %w", ErrSyntax, err) }
