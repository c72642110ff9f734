// Package txtrecord reads and writes the TXT records that announce MTA-STS and TLS
// reporting: a version, then fields, as in "v=STSv1; id=20160831085700Z;".
//
// RFC 8461, Section 3.1 and RFC 8460, Section 3 have the same grammar but for their own
// fields; packages mtasts and tlsrpt give those their meaning.
//
// All functions are safe for concurrent use.
package txtrecord

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// MaxSize bounds what [Parse] reads, in bytes. RFC 8461 and RFC 8460 name no bound; a
// DNS answer of 64 KiB would hold more, no honest record comes near 4 KiB.
const MaxSize = 4 << 10

var (
	// ErrNone: no TXT record begins with the version. The domain does not take part.
	ErrNone = errors.New("no such record")

	// ErrSeveral: more than one does; senders then take the domain for one with none.
	ErrSeveral = errors.New("more than one record")
)

// Find picks the record that senders use out of those that a name has. Those that do not
// begin with the version and a semicolon, as in "v=STSv1;", are passed over; one must be
// left. Each record is its strings put together without spaces, as most resolvers give it.
//
// It returns [ErrNone] or [ErrSeveral], wrapped.
func Find(version string, records []string) (string, error) {
	var found []string
	for _, record := range records {
		if strings.HasPrefix(record, version+";") {
			found = append(found, record)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w that begins with %q", ErrNone, version+";")
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%w (%d) that begin with %q: leave one", ErrSeveral, len(found), version+";")
}

// Parse gives the fields behind the version, in their order and as they stand, of a
// record of at most [MaxSize] bytes. There is one at least. What a value may hold is not
// checked beyond that it is printable ASCII.
func Parse(version, record string) ([]Field, error) {
	if len(record) > MaxSize {
		return nil, fmt.Errorf("record of %d bytes: more than %d are not read", len(record), MaxSize)
	}
	first, rest, _ := strings.Cut(record, ";")
	if strings.TrimRight(first, " \t") != version {
		return nil, fmt.Errorf("record must begin with %q", version+";")
	}
	parts := strings.Split(rest, ";")
	if len(parts) > 1 && strings.Trim(parts[len(parts)-1], " \t") == "" {
		parts = parts[:len(parts)-1] // one semicolon may end the record
	}
	fields := make([]Field, len(parts))
	for i, part := range parts {
		var err error
		if fields[i], err = parseField(strings.Trim(part, " \t")); err != nil {
			return nil, fmt.Errorf("field %d: %w", i+1, err)
		}
	}
	return fields, nil
}

// Write gives the record that Parse reads.
func Write(version string, fields []Field) string {
	var b strings.Builder
	b.WriteString(version)
	b.WriteByte(';')
	for _, f := range fields {
		b.WriteString(" " + f.Name + "=" + f.Value + ";")
	}
	return b.String()
}

// A Field is one name with its value.
type Field struct{ Name, Value string }

// name is that of an extension in RFC 8461, Sections 3.1 and 3.2, and RFC 8460, Section 3.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$`)

// CheckName tells what is wrong with the name of a field, in a record or an MTA-STS policy:
// it has up to 32 letters, digits, "_", "-" and ".", and begins with one of the first two.
func CheckName(s string) error {
	if !name.MatchString(s) {
		return fmt.Errorf("%.40q is not a field's name: letters, digits, \"_\", \"-\" and \".\", at most 32", s)
	}
	return nil
}

// CheckExtension tells what is wrong with a field that no RFC gives a meaning: its name,
// or a value that is empty or has more than printable ASCII without "=", ";" and spaces.
func (f Field) CheckExtension() error {
	if err := CheckName(f.Name); err != nil {
		return err
	}
	if f.Value == "" || strings.ContainsFunc(f.Value, func(r rune) bool { return !visible(r) || r == '=' || r == ';' }) {
		return fmt.Errorf("%s: %.40q is not a value: printable ASCII without \"=\", \";\" and spaces", f.Name, f.Value)
	}
	return nil
}

func parseField(s string) (f Field, err error) {
	var equals bool
	f.Name, f.Value, equals = strings.Cut(s, "=")
	switch {
	case s == "":
		return f, fmt.Errorf("is empty: remove a semicolon, or write name=value")
	case !equals:
		return f, fmt.Errorf("%.40q has no \"=\": write name=value", s)
	case strings.ContainsFunc(f.Value, func(r rune) bool { return !visible(r) && r != ' ' && r != '\t' }):
		return f, fmt.Errorf("%.40q: only printable ASCII may stand there", s)
	}
	return f, CheckName(f.Name)
}

func visible(r rune) bool { return '!' <= r && r <= '~' }
