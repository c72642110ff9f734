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

// ErrSyntax is in the chain of errors about a record that is not what RFC 8460 says.
var ErrSyntax = errors.New("not valid under RFC 8460")

// A Record is the TXT record at _smtp._tls.DOMAIN, RFC 8460, Section 3.
type Record struct {
	// RUA are the URIs that reports go to, one at least: mailto:ADDRESS or https://…, with
	// "!", "," and ";" percent-encoded.
	RUA []string

	// Extensions are the fields that the RFC does not know, in order.
	Extensions []txtrecord.Field
}

// FindRecord reads the one record that counts among the TXT records of _smtp._tls.DOMAIN, each
// with its strings put together.
//
// It returns [txtrecord.ErrNone] or [txtrecord.ErrSeveral] when there is not exactly one, and the
// errors of [ParseRecord]: to a sender all of these say that no reports are wanted.
func FindRecord(records []string) (*Record, error) {
	text, err := txtrecord.Find(recordVersion, records)
	if err != nil {
		return nil, fmt.Errorf("tlsrpt: %w", err)
	}
	return ParseRecord(text)
}

// ParseRecord reads one TXT record of at most [txtrecord.MaxSize] bytes. Errors wrap [ErrSyntax].
func ParseRecord(text string) (*Record, error) {
	fields, err := txtrecord.Parse(recordVersion, text)
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
	rua := txtrecord.Field{Name: "rua", Value: strings.Join(r.RUA, ",")}
	return txtrecord.Write(recordVersion, append([]txtrecord.Field{rua}, r.Extensions...))
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
		if err := f.CheckExtension(); err != nil {
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
