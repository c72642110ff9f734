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
	// ID tells senders that the policy has changed: 1 to 32 letters and digits.
	ID string

	// Extensions are the fields that the RFC does not know, in order; no name twice.
	Extensions []txtrecord.Field
}

var recordID = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

// FindRecord reads the one record that counts among the TXT records of _mta-sts.DOMAIN, each
// with its strings put together.
//
// It returns [txtrecord.ErrNone] or [txtrecord.ErrSeveral] when there is not exactly one, and
// the errors of [ParseRecord]: to a sender all of these say that there is no policy.
func FindRecord(records []string) (*Record, error) {
	text, err := txtrecord.Find(recordVersion, records)
	if err != nil {
		return nil, fmt.Errorf("mtasts: %w", err)
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
	var id bool
	for _, f := range firsts(fields, "") {
		switch f.Name {
		case "v": // a second version; the first one counts
		case "id":
			r.ID, id = f.Value, true
		default:
			r.Extensions = append(r.Extensions, f)
		}
	}
	if !id {
		return nil, recordError(errors.New("no id: add id= and a value that changes with the policy"))
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

// String gives the record as it is published; [Record.MarshalText] checks it too.
func (r *Record) String() string {
	return txtrecord.Write(recordVersion, append([]txtrecord.Field{{Name: "id", Value: r.ID}}, r.Extensions...))
}

// MarshalText gives the record as it is published. What ParseRecord would not read back
// the same is not written: errors wrap [ErrSyntax].
func (r *Record) MarshalText() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	text := r.String()
	if len(text) > txtrecord.MaxSize {
		return nil, recordError(fmt.Errorf("%d bytes: more than %d are not read", len(text), txtrecord.MaxSize))
	}
	return []byte(text), nil
}

func (r *Record) check() error {
	if !recordID.MatchString(r.ID) {
		return recordError(fmt.Errorf("id %.40q: write 1 to 32 letters and digits", r.ID))
	}
	for _, f := range r.Extensions {
		if err := f.CheckExtension(); err != nil {
			return recordError(err)
		}
	}
	if err := distinct(r.Extensions, "v", "id"); err != nil {
		return recordError(err)
	}
	return nil
}

func recordError(err error) error { return fmt.Errorf("mtasts: record is %w: %w", ErrSyntax, err) }
