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

// Errors about a record, to test for with [errors.Is].
var (
	// ErrSyntax reports a record that does not conform to RFC 8460.
	ErrSyntax = errors.New("not valid under RFC 8460")

	// ErrNoRecord reports that a domain publishes no TLS reporting record.
	ErrNoRecord = errors.New("no TLS reporting record")

	// ErrMultipleRecords reports that a domain publishes more than one TLS reporting
	// record. Senders then send no reports (RFC 8460, Section 3).
	ErrMultipleRecords = errors.New("more than one TLS reporting record")
)

// A Field is a field of a record that RFC 8460 does not define.
type Field struct{ Name, Value string }

// A Record is the TXT record at _smtp._tls.DOMAIN, RFC 8460, Section 3.
type Record struct {
	// RUA are the URIs that reports go to, one at least: mailto:ADDRESS or https://…, with
	// "!", "," and ";" percent-encoded.
	RUA []string

	// Extensions are the fields that the RFC does not know, in order.
	Extensions []Field
}

// FindRecord reads the one record that counts among the TXT records of _smtp._tls.DOMAIN, each
// with its strings put together.
//
// It returns [ErrNoRecord], [ErrMultipleRecords] or an error of [ParseRecord], wrapped. To a
// sender all of these mean that the domain wants no reports.
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

// ParseRecord parses one TXT record of at most 4 KiB. Its errors wrap [ErrSyntax].
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
		for uri := range strings.SplitSeq(f.Value, ",") { // the grammar lets rua stand twice
			r.RUA = append(r.RUA, strings.Trim(uri, " \t"))
		}
	}
	if err := r.check(); err != nil {
		return nil, recordError(err)
	}
	return r, nil
}

// String gives the record as it is published; [Record.MarshalText] checks it too.
func (r *Record) String() string {
	rua := Field{Name: "rua", Value: strings.Join(r.RUA, ",")}
	return txtrecord.Format(recordVersion, append([]Field{rua}, r.Extensions...))
}

// MarshalText gives the record as it is published. What ParseRecord would not read back
// the same is not written: errors wrap [ErrSyntax].
func (r *Record) MarshalText() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, recordError(err)
	}
	text := r.String()
	if len(text) > txtrecord.MaxSize {
		return nil, recordError(fmt.Errorf("%d bytes: more than %d are not read", len(text), txtrecord.MaxSize))
	}
	return []byte(text), nil
}

func (r *Record) check() error {
	if len(r.RUA) == 0 {
		return errors.New("no rua: add rua=mailto: and an address, or an https: URL")
	}
	for _, uri := range r.RUA {
		if err := checkURI(uri); err != nil {
			return fmt.Errorf("rua %.80q: %w", uri, err)
		}
	}
	for _, f := range r.Extensions {
		if f.Name == "rua" {
			return errors.New("rua stands among the extensions")
		}
		if err := txtrecord.CheckExtension(f.Name, f.Value); err != nil {
			return err
		}
	}
	return nil
}

func checkURI(uri string) error {
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("!,;", r) }) {
		return errors.New(`percent-encode "!", ",", ";", spaces and all but ASCII`)
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
	return errors.New("write mailto: and an address, or an https: URL")
}

func recordError(err error) error { return fmt.Errorf("tlsrpt: record is %w: %w", ErrSyntax, err) }
