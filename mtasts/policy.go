package mtasts

import (
	"errors"
	"fmt"
	"strings"
	"time"

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
