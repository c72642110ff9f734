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

const (
	// MaxPolicySize bounds a policy, in bytes: what RFC 8461, Section 3.3 suggests to senders.
	MaxPolicySize = 64 << 10

	// MaxMaxAge is the longest that a policy may be kept, RFC 8461, Section 3.2.
	MaxMaxAge = 31557600 * time.Second
)

// A Mode says what a sender does with an MX host that fails the policy.
type Mode string

// The modes of RFC 8461, Section 5.
const (
	Enforce Mode = "enforce" // it does not deliver there
	Testing Mode = "testing" // it delivers, and reports
	None    Mode = "none"    // there is no policy any more
)

// A Policy is what a domain serves at https://mta-sts.DOMAIN/.well-known/mta-sts.txt,
// RFC 8461, Section 3.2.
type Policy struct {
	Mode Mode

	// MX are the patterns of the hosts that may receive the domain's mail: names, with
	// "*" for the whole of the leftmost label or not at all, and A-labels. There is one at
	// least, unless the mode is none.
	MX []string

	// MaxAge is how long senders keep the policy: whole seconds, at most [MaxMaxAge].
	MaxAge time.Duration

	// Extensions are the fields that the RFC does not know, in order; no name twice.
	Extensions []txtrecord.Field
}

// MarshalText writes the policy, with CRLF. What ParsePolicy would not read back the same
// is not written: errors wrap [ErrSyntax].
func (p *Policy) MarshalText() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, policyError(err)
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
	if p.MaxAge < 0 || p.MaxAge > MaxMaxAge || p.MaxAge%time.Second != 0 {
		return fmt.Errorf("max_age of %v: write whole seconds, at most %d", p.MaxAge, MaxMaxAge/time.Second)
	}
	for _, f := range p.Extensions {
		if err := checkExtension(f); err != nil {
			return err
		}
	}
	return distinct(p.Extensions, "version", "mode", "mx", "max_age")
}

func (m Mode) check() error {
	switch m {
	case Enforce, Testing, None:
		return nil
	}
	return fmt.Errorf("mode %.40q: write enforce, testing or none", string(m))
}

func tooLarge(n int) error {
	return fmt.Errorf("%d bytes: senders read %d at most", n, MaxPolicySize)
}

func policyError(err error) error { return fmt.Errorf("mtasts: policy is %w: %w", ErrSyntax, err) }

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
