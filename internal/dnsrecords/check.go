package dnsrecords

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A State is how a wanted record stands with what is published.
type State string

// The states.
const (
	Right    State = "right"
	Missing  State = "missing"
	Differs  State = "differs"
	Optional State = "optional" // it is not there, and need not be
	Unclear  State = "unclear"  // it could not be told
)

// A Result is what became of one record, or of one that is published and not wanted.
type Result struct {
	Record
	State State
	Why   string // of all but Right
}

// A Check is all that is wanted, held against what is published.
type Check struct {
	Results  []Result
	Rollover Rollover
}

// State is the worst: [Unclear] only where nothing is missing and nothing differs.
func (c Check) State() State {
	worst := Right
	for _, r := range c.Results {
		switch {
		case r.State == Missing || r.State == Differs:
			return Differs
		case r.State == Unclear:
			worst = Unclear
		}
	}
	if worst == Right && c.Rollover.Step != Settled {
		return Differs
	}
	return worst
}

// A Lookup gives the records of a name and kind, those of aliases too, and whether the
// answer was validated. A name that is not there has none.
type Lookup func(ctx context.Context, name string, kind uint16) (records []dns.RR, secure bool, err error)

// Check looks up what is published. seen is when the record of the next key was first
// found published, zero if it never was; [Rollover] tells whether it is now.
func (w Wants) Check(ctx context.Context, lookup Lookup, seen, now time.Time) (Check, error) {
	records, err := w.Records()
	if err != nil {
		return Check{}, err
	}
	e := &exam{w, ctx, lookup}
	var c Check
	for _, r := range records {
		if r.Type != "TLSA" {
			state, why := e.examine(r)
			c.Results = append(c.Results, Result{r, state, why})
		}
	}
	wanted := slices.DeleteFunc(records, func(r Record) bool { return r.Type != "TLSA" })
	keys, rollover := e.keys(wanted, seen, now)
	c.Results, c.Rollover = append(c.Results, keys...), rollover
	return c, nil
}

// An exam is a Check under way.
type exam struct {
	Wants
	ctx    context.Context
	lookup Lookup
}

// examine holds one record, which is none of TLSA, against what is published.
func (e *exam) examine(r Record) (State, string) {
	if r.Type == "CNAME" {
		return e.examineAddresses(r)
	}
	published, _, err := e.lookup(e.ctx, r.Name, dns.StringToType[r.Type])
	if err != nil {
		return Unclear, err.Error()
	}
	var others []string
	for _, rr := range published {
		text := data(rr)
		switch {
		case rr.Header().Rrtype != dns.StringToType[r.Type] || !rival(r, text):
		case same(r, text):
			return Right, ""
		default:
			others = append(others, text)
		}
	}
	switch {
	case len(others) > 0:
		return Differs, "published is " + strings.Join(others, ", ")
	case r.Hint:
		return Optional, "any authority may make certificates for the host"
	}
	return Missing, "there is none"
}

// data is a record as in a zone file, without what stands before it.
func data(rr dns.RR) string {
	if txt, ok := rr.(*dns.TXT); ok {
		return quoted(strings.Join(txt.Txt, ""))
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}

// rival tells whether published data is of the same purpose as a wanted record: other TXT
// records may stand at a name, and CAA records with other properties.
func rival(r Record, text string) bool {
	switch r.Type {
	case "TXT":
		version, _, _ := strings.Cut(r.Data, ";")
		return strings.HasPrefix(text, version)
	case "CAA":
		return strings.Contains(text, " issue ")
	}
	return true
}

// same compares data. The preference of an MX record is the operator's choice.
func same(r Record, text string) bool {
	if r.Type == "MX" {
		_, wanted, _ := strings.Cut(r.Data, " ")
		_, host, _ := strings.Cut(text, " ")
		return strings.EqualFold(wanted, host)
	}
	trim := func(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, `"`), ";") }
	return trim(r.Data) == trim(text)
}

// examineAddresses tells whether a name leads to the host, as an alias or by an address.
func (e *exam) examineAddresses(r Record) (State, string) {
	theirs, err := e.addresses(r.Name)
	if err != nil {
		return Unclear, err.Error()
	}
	if len(theirs) == 0 {
		return Missing, "the name has no address"
	}
	ours, err := e.addresses(e.Host + ".")
	if err != nil {
		return Unclear, err.Error()
	}
	for _, address := range theirs {
		if slices.Contains(ours, address) {
			return Right, ""
		}
	}
	return Differs, fmt.Sprintf("it leads to %s, the host to %s", strings.Join(theirs, ", "), strings.Join(ours, ", "))
}

func (e *exam) addresses(name string) (all []string, err error) {
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		records, _, err := e.lookup(e.ctx, name, kind)
		if err != nil {
			return nil, err
		}
		for _, rr := range records {
			if rr.Header().Rrtype == kind {
				all = append(all, data(rr))
			}
		}
	}
	return all, nil
}
