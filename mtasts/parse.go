package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/internal/txtrecord"
)

const policyVersion = "STSv1"

// ParsePolicy reads a policy of at most [MaxPolicySize] bytes; who reads from the network reads one
// byte more, so that too much is told from just enough. Lines end in LF or CRLF.
//
// Errors wrap [ErrSyntax] and name the line. Two things that the grammar forbids are seen often and
// refused all the same, since senders differ about them: an empty line at the end, and a
// space before a colon.
//
// ParsePolicy keeps no reference to data.
func ParsePolicy(data []byte) (*Policy, error) {
	p, err := parsePolicy(data)
	if err != nil {
		return nil, policyError(err)
	}
	return p, nil
}

func parsePolicy(data []byte) (*Policy, error) {
	if len(data) > MaxPolicySize {
		return nil, tooLarge(len(data))
	}
	var fields []txtrecord.Field
	for line := range strings.Lines(string(data)) {
		f, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(fields)+1, err)
		}
		fields = append(fields, f)
	}
	p := new(Policy)
	if err := p.read(firsts(fields, "mx")); err != nil {
		return nil, err
	}
	return p, p.check()
}

func parseLine(line string) (f txtrecord.Field, err error) {
	text, ended := strings.CutSuffix(line, "\n")
	if ended {
		text = strings.TrimSuffix(text, "\r")
	}
	var colon bool
	f.Name, f.Value, colon = strings.Cut(text, ":")
	f.Value = strings.Trim(f.Value, " \t")
	switch {
	case strings.Trim(text, " \t") == "":
		return f, errors.New("is empty: remove it")
	case !colon:
		return f, fmt.Errorf(`%.40q has no colon: write "name: value"`, text)
	}
	return f, checkExtension(f)
}

// checkExtension holds a field to the widest grammar that a field of a policy may have.
func checkExtension(f txtrecord.Field) error {
	if err := txtrecord.CheckName(f.Name); err != nil {
		return err
	}
	if f.Value == "" || f.Value != strings.Trim(f.Value, " ") || !utf8.ValidString(f.Value) ||
		strings.ContainsFunc(f.Value, unicode.IsControl) {
		return fmt.Errorf("%s: %.40q is not a value: UTF-8 without control characters", f.Name, f.Value)
	}
	return nil
}

// read takes the fields by their meaning. The four that the RFC names must be there, mx
// apart, which a policy that ends may leave out.
func (p *Policy) read(fields []txtrecord.Field) (err error) {
	missing := map[string]bool{"version": true, "mode": true, "max_age": true}
	for _, f := range fields {
		delete(missing, f.Name)
		switch f.Name {
		case "version":
			if f.Value != policyVersion {
				return fmt.Errorf("version %.40q: only %s is known", f.Value, policyVersion)
			}
		case "mode":
			p.Mode = Mode(f.Value)
		case "mx":
			p.MX = append(p.MX, f.Value)
		case "max_age":
			if p.MaxAge, err = parseMaxAge(f.Value); err != nil {
				return err
			}
		default:
			p.Extensions = append(p.Extensions, f)
		}
	}
	for _, name := range []string{"version", "mode", "max_age"} {
		if missing[name] {
			return fmt.Errorf("no %s: add it", name)
		}
	}
	return nil
}

func parseMaxAge(value string) (time.Duration, error) {
	n, err := strconv.ParseUint(value, 10, 64) // takes neither sign nor underscore
	if err != nil || len(value) > 10 || n > uint64(MaxMaxAge/time.Second) {
		return 0, fmt.Errorf("max_age %.40q: write whole seconds, at most %d", value, MaxMaxAge/time.Second)
	}
	return time.Duration(n) * time.Second, nil
}
