// Package txtrecord reads and writes the TXT records of MTA-STS and TLS reporting: a
// version, then fields, as in "v=STSv1; id=20160831085700Z;".
//
// RFC 8461, Section 3.1 and RFC 8460, Section 3 share this grammar. Packages mtasts and
// tlsrpt give the fields their meaning; each has a type for a field that its users see.
package txtrecord

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// MaxSize is the longest record that [Parse] reads, in bytes. The RFCs name no limit; no
// honest record comes near 4 KiB.
const MaxSize = 4 << 10

// A Field is a name and its value. Its constraint lets a public package use a type of
// its own.
type Field interface{ ~struct{ Name, Value string } }

// Find returns those of a name's TXT records that begin with the version and a
// semicolon, as in "v=STSv1;". A record is its strings joined without spaces, as
// resolvers return it.
func Find(version string, records []string) (found []string) {
	for _, record := range records {
		if strings.HasPrefix(record, version+";") {
			found = append(found, record)
		}
	}
	return found
}

// Parse returns the fields after the version, at least one, in order and unchanged. A
// value is checked for printable ASCII only.
func Parse[F Field](version, record string) ([]F, error) {
	if len(record) > MaxSize {
		return nil, fmt.Errorf("record of %d bytes is longer than %d", len(record), MaxSize)
	}
	first, rest, _ := strings.Cut(record, ";")
	if strings.TrimRight(first, " \t") != version {
		return nil, fmt.Errorf("record must begin with %q", version+";")
	}
	parts := strings.Split(rest, ";")
	if len(parts) > 1 && strings.Trim(parts[len(parts)-1], " \t") == "" {
		parts = parts[:len(parts)-1] // a semicolon may end the record
	}
	fields := make([]F, len(parts))
	for i, part := range parts {
		name, value, err := parseField(strings.Trim(part, " \t"))
		if err != nil {
			return nil, fmt.Errorf("field %d: %w", i+1, err)
		}
		fields[i] = F{name, value}
	}
	return fields, nil
}

func parseField(s string) (name, value string, err error) {
	name, value, equals := strings.Cut(s, "=")
	switch {
	case s == "":
		return "", "", errors.New("is empty: remove a semicolon, or write name=value")
	case !equals:
		return "", "", fmt.Errorf("%.40q has no \"=\": write name=value", s)
	case strings.ContainsFunc(value, func(r rune) bool { return !visible(r) && r != ' ' && r != '\t' }):
		return "", "", fmt.Errorf("%.40q: write printable ASCII only", s)
	}
	return name, value, CheckName(name)
}

// Format returns the record that Parse reads.
func Format[F Field](version string, fields []F) string {
	var b strings.Builder
	b.WriteString(version)
	b.WriteByte(';')
	for _, f := range fields {
		pair := struct{ Name, Value string }(f)
		b.WriteString(" " + pair.Name + "=" + pair.Value + ";")
	}
	return b.String()
}

// fieldName is the name of an extension in RFC 8461, Sections 3.1 and 3.2, and RFC 8460,
// Section 3.
var fieldName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$`)

// CheckName checks the name of a field in a record or an MTA-STS policy: at most 32
// letters, digits, "_", "-" and ".", beginning with a letter or digit.
func CheckName(name string) error {
	if !fieldName.MatchString(name) {
		return fmt.Errorf("%.40q is not a field's name: write letters, digits, \"_\", \"-\" and \".\", at most 32", name)
	}
	return nil
}

// CheckExtension checks a field that no RFC defines. Its value is printable ASCII without
// "=", ";" and spaces, and not empty.
func CheckExtension(name, value string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !visible(r) || r == '=' || r == ';' }) {
		return fmt.Errorf("%s: %.40q is not a value: write printable ASCII without \"=\", \";\" and spaces", name, value)
	}
	return nil
}

func visible(r rune) bool { return '!' <= r && r <= '~' }
