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

const (
	// MaxPolicySize is the largest policy, in bytes, that RFC 8461, Section 3.3 suggests
	// senders accept.
	MaxPolicySize = 64 << 10

	// MaxPolicyAge is the largest max_age, RFC 8461, Section 3.2.
	MaxPolicyAge = 31557600 * time.Second
)

// A Mode is what a sender does when an MX host fails the policy.
type Mode string

// The modes of RFC 8461, Section 5.
const (
	Enforce Mode = "enforce" // do not deliver to the host
	Testing Mode = "testing" // deliver, and report the failure
	None    Mode = "none"    // the domain has no policy any more
)

// A Policy is the policy that a domain serves at
// https://mta-sts.DOMAIN/.well-known/mta-sts.txt, RFC 8461, Section 3.2.
type Policy struct {
	Mode Mode

	// MX are patterns of the hosts that may receive the domain's mail: names in
	// A-labels, with "*" for the whole leftmost label or without. At least one, unless
	// Mode is None.
	MX []string

	// MaxAge is how long senders may cache the policy: whole seconds, at most
	// [MaxPolicyAge].
	MaxAge time.Duration

	// Extensions are the fields that the RFC does not define, in order, with unique names.
	Extensions []Field

	// Warnings are what ParsePolicy accepted although it is of no use or some senders
	// refuse it. They are not written.
	Warnings []string
}

// ParsePolicy parses a policy of at most [MaxPolicySize] bytes. Lines end in LF or CRLF.
//
// Its errors wrap [ErrSyntax] and name the line. Two faults are common and add to
// [Policy.Warnings]: empty lines at the end, which senders with a strict parser refuse, and an
// mx that is an IPv4 address, which has the form of a name but is never an MX host's.
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
	text, empty := trimEmptyLines(string(data))
	var fields []Field
	for line := range strings.Lines(text) {
		f, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(fields)+1, err)
		}
		fields = append(fields, f)
	}
	p := new(Policy)
	if err := p.set(keepFirst(fields, "mx")); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	p.warn(len(fields), empty)
	return p, nil
}

// trimEmptyLines removes empty lines at the end of a policy, and returns their number.
func trimEmptyLines(text string) (trimmed string, empty int) {
	trimmed = strings.TrimRight(text, " \t\r\n")
	end := strings.TrimPrefix(strings.TrimLeft(text[len(trimmed):], " \t\r"), "\n")
	for range strings.Lines(end) {
		empty++
	}
	return text[:len(text)-len(end)], empty
}

// warn adds the warnings about a valid policy.
func (p *Policy) warn(lines, empty int) {
	switch {
	case empty == 1:
		p.Warnings = append(p.Warnings, fmt.Sprintf("line %d is empty, and the grammar of RFC 8461, Section 3.2 has no empty line: remove it", lines+1))
	case empty > 1:
		p.Warnings = append(p.Warnings, fmt.Sprintf("lines %d to %d are empty, and the grammar of RFC 8461, Section 3.2 has no empty line: remove them", lines+1, lines+empty))
	}
	for _, mx := range p.MX {
		if isAddress(mx) {
			p.Warnings = append(p.Warnings, addressWarning(mx))
		}
	}
}

func parseLine(line string) (f Field, err error) {
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
	case text[0] == ' ' || text[0] == '\t':
		return f, errors.New("begins with a space: remove it")
	case !colon:
		return f, fmt.Errorf(`%s has no colon: write "name: value"`, quoted(text))
	}
	return f, checkExtension(f)
}

// checkExtension checks a field by the widest grammar that RFC 8461, Section 3.2 has for
// one.
func checkExtension(f Field) error {
	if err := txtrecord.CheckName(f.Name); err != nil {
		return err
	}
	if f.Value == "" || f.Value != strings.Trim(f.Value, " ") || !utf8.ValidString(f.Value) ||
		strings.ContainsFunc(f.Value, unicode.IsControl) {
		return fmt.Errorf("%s: %s is not a value: write UTF-8 without control characters", f.Name, quoted(f.Value))
	}
	return nil
}

// set sets the policy from its fields. mx may be missing: [Policy.check] looks at that.
func (p *Policy) set(fields []Field) (err error) {
	missing := map[string]bool{"version": true, "mode": true, "max_age": true}
	for _, f := range fields {
		delete(missing, f.Name)
		switch f.Name {
		case "version":
			if f.Value != policyVersion {
				return fmt.Errorf("version %s: only %s is defined", quoted(f.Value), policyVersion)
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
	n, err := strconv.ParseUint(value, 10, 64) // accepts neither sign nor underscore
	if err != nil || len(value) > 10 || n > uint64(MaxPolicyAge/time.Second) {
		return 0, fmt.Errorf("max_age %s: write whole seconds, at most %d", quoted(value), MaxPolicyAge/time.Second)
	}
	return time.Duration(n) * time.Second, nil
}

// MarshalText returns the policy as served, with CRLF. It returns an error that wraps
// [ErrSyntax] if [ParsePolicy] would not return an equal policy without warnings.
func (p *Policy) MarshalText() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, policyError(err)
	}
	for _, mx := range p.MX {
		if isAddress(mx) {
			return nil, policyError(errors.New(addressWarning(mx)))
		}
	}
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	line("version", policyVersion)
	line("mode", string(p.Mode))
	for _, mx := range p.MX {
		line("mx", mx)
	}
	line("max_age", fmt.Sprint(int64(p.MaxAge/time.Second)))
	for _, f := range p.Extensions {
		line(f.Name, f.Value)
	}
	if b.Len() > MaxPolicySize {
		return nil, policyError(tooLarge(b.Len()))
	}
	return []byte(b.String()), nil
}

func (p *Policy) check() error {
	if err := p.Mode.check(); err != nil {
		return err
	}
	if len(p.MX) == 0 && p.Mode != None {
		return errors.New("no mx: add one for each MX host, or end the policy with mode: none")
	}
	for _, mx := range p.MX {
		if err := checkPattern(mx); err != nil {
			return fmt.Errorf("mx: %w", err)
		}
	}
	if p.MaxAge < 0 || p.MaxAge > MaxPolicyAge || p.MaxAge%time.Second != 0 {
		return fmt.Errorf("max_age of %v: write whole seconds, at most %d", p.MaxAge, MaxPolicyAge/time.Second)
	}
	for _, f := range p.Extensions {
		if err := checkExtension(f); err != nil {
			return err
		}
	}
	return checkUnique(p.Extensions, "version", "mode", "mx", "max_age")
}

func (m Mode) check() error {
	switch m {
	case Enforce, Testing, None:
		return nil
	}
	return fmt.Errorf("mode %s: write enforce, testing or none", quoted(string(m)))
}

func tooLarge(n int) error {
	return fmt.Errorf("%d bytes: senders read %d at most", n, MaxPolicySize)
}

func policyError(err error) error { return fmt.Errorf("mtasts: policy is %w: %w", ErrSyntax, err) }
