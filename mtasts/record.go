package mtasts

import (
	"errors"
	"fmt"
	"regexp"

	"postern/internal/txtrecord"
)

const recordVersion = "v=STSv1"

// A Record is the TXT record at _mta-sts.DOMAIN, RFC 8461, Section 3.1.
type Record struct {
	// ID changes whenever the policy changes: 1 to 32 letters and digits.
	ID string

	// Extensions are the fields that the RFC does not define, in order, with unique names.
	Extensions []Field
}

// FindRecord returns the MTA-STS record among the TXT records of _mta-sts.DOMAIN, each
// with its strings joined. Records that do not begin with "v=STSv1;" are ignored.
//
// It returns [ErrNoRecord], [ErrMultipleRecords] or an error of [ParseRecord], wrapped. To
// a sender all of these mean that the domain has no policy.
func FindRecord(records []string) (*Record, error) {
	switch found := txtrecord.Find(recordVersion, records); len(found) {
	case 0:
		return nil, fmt.Errorf("mtasts: %w: none begins with %q", ErrNoRecord, recordVersion+";")
	case 1:
		return ParseRecord(found[0])
	default:
		return nil, fmt.Errorf("mtasts: %w: %d begin with %q, leave one", ErrMultipleRecords, len(found), recordVersion+";")
	}
}

// ParseRecord parses one TXT record of at most 4 KiB. Its errors wrap [ErrSyntax].
func ParseRecord(text string) (*Record, error) {
	fields, err := txtrecord.Parse[Field](recordVersion, text)
	if err != nil {
		return nil, recordError(err)
	}
	r := new(Record)
	var hasID bool
	for _, f := range keepFirst(fields, "") {
		switch f.Name {
		case "v": // a second version: the first counts
		case "id":
			r.ID, hasID = f.Value, true
		default:
			r.Extensions = append(r.Extensions, f)
		}
	}
	if !hasID {
		return nil, recordError(errors.New("no id: add id= and a value that changes with the policy"))
	}
	if err := r.check(); err != nil {
		return nil, recordError(err)
	}
	return r, nil
}

// String returns the record as published, without checking it.
func (r *Record) String() string {
	return txtrecord.Format(recordVersion, append([]Field{{Name: "id", Value: r.ID}}, r.Extensions...))
}

// MarshalText returns the record as published. It returns an error that wraps
// [ErrSyntax] if [ParseRecord] would not return an equal record.
func (r *Record) MarshalText() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, recordError(err)
	}
	text := r.String()
	if len(text) > txtrecord.MaxSize {
		return nil, recordError(fmt.Errorf("%d bytes: senders read at most %d", len(text), txtrecord.MaxSize))
	}
	return []byte(text), nil
}

var recordID = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

func (r *Record) check() error {
	if !recordID.MatchString(r.ID) {
		return fmt.Errorf("id %s: write 1 to 32 letters and digits", quoted(r.ID))
	}
	for _, f := range r.Extensions {
		if err := txtrecord.CheckExtension(f.Name, f.Value); err != nil {
			return err
		}
	}
	return checkUnique(r.Extensions, "v", "id")
}

func recordError(err error) error { return fmt.Errorf("mtasts: record is %w: %w", ErrSyntax, err) }
