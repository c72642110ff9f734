package txtrecord

import (
	"fmt"
	"regexp"
	"strings"
)

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
