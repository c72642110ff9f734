package dnsrecords

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A State is how a required record compares with what is published.
type State string

// The states.
const (
	OK       State = "ok"
	Missing  State = "missing"
	Differs  State = "differs"
	Optional State = "optional" // not published, and not needed
	Unclear  State = "unclear"  // the lookup failed
)

// A Result is the comparison of one record: a required one, or a published one that
// should be removed.
type Result struct {
	Record
	State State  `json:"state,omitempty"`
	Why   string `json:"why,omitempty"` // empty if OK
}

// A Comparison is the required records, compared with published ones.
type Comparison struct {
	Results  []Result
	Rollover Rollover
}

// State returns OK, [Differs] if there is something to do, or [Unclear] if a lookup failed
// and nothing else is to be done.
func (c Comparison) State() State {
	state := OK
	for _, r := range c.Results {
		switch {
		case r.State == Missing || r.State == Differs:
			return Differs
		case r.State == Unclear:
			state = Unclear
		}
	}
	if state == OK && c.Rollover.Step != None {
		return Differs
	}
	return state
}

// A Lookup returns the records of a name and type, those of aliases included, and whether
// DNSSEC validated the answer. It returns none for a name that does not exist.
type Lookup func(ctx context.Context, name string, recordType uint16) (records []dns.RR, secure bool, err error)

// Compare looks up what is published and compares it. nextSeen is when the TLSA record of
// the next key was first found published, zero if never; [Rollover.NextPublished] reports
// whether it is published now.
func (c Config) Compare(ctx context.Context, lookup Lookup, nextSeen, now time.Time) (Comparison, error) {
	records, err := c.Records()
	if err != nil {
		return Comparison{}, err
	}
	var result Comparison
	for _, r := range records {
		if r.Type != "TLSA" {
			state, why := c.compare(ctx, lookup, r)
			result.Results = append(result.Results, Result{r, state, why})
		}
	}
	required := slices.DeleteFunc(records, func(r Record) bool { return r.Type != "TLSA" })
	keys, rollover := c.compareKeys(ctx, lookup, required, nextSeen, now)
	result.Results, result.Rollover = append(result.Results, keys...), rollover
	return result, nil
}

// compare compares one record that is not a TLSA record.
func (c Config) compare(ctx context.Context, lookup Lookup, r Record) (State, string) {
	if r.Type == "CNAME" {
		return c.compareAddresses(ctx, lookup, r)
	}
	published, _, err := lookup(ctx, r.Name, dns.StringToType[r.Type])
	if err != nil {
		return Unclear, err.Error()
	}
	var others []string
	for _, rr := range published {
		text := data(rr)
		switch {
		case rr.Header().Rrtype != dns.StringToType[r.Type] || !samePurpose(r, text):
		case equal(r, text):
			return OK, ""
		default:
			others = append(others, text)
		}
	}
	switch {
	case len(others) == 1 && r.Type == "TXT" && r.without != "":
		return OK, "" // domains with other addresses share the host
	case len(others) > 0:
		return Differs, "published is " + strings.Join(others, ", ")
	case r.without != "":
		return Optional, r.without
	}
	return Missing, "not published"
}

// data returns the data of a record as in a zone file.
func data(rr dns.RR) string {
	if txt, ok := rr.(*dns.TXT); ok {
		return quoted(strings.Join(txt.Txt, ""))
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}

// samePurpose reports whether published data serves the purpose of a required record: a
// name may have other TXT records too, and CAA records with other properties.
func samePurpose(r Record, text string) bool {
	switch r.Type {
	case "TXT":
		version, _, _ := strings.Cut(r.Data, ";")
		return strings.HasPrefix(text, version)
	case "CAA":
		return strings.Contains(text, " issue ")
	}
	return true
}

// equal compares data. The preference of an MX record is the operator's choice.
func equal(r Record, text string) bool {
	if r.Type == "MX" {
		_, required, _ := strings.Cut(r.Data, " ")
		_, host, _ := strings.Cut(text, " ")
		return strings.EqualFold(required, host)
	}
	trim := func(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, `"`), ";") }
	return trim(r.Data) == trim(text)
}

// compareAddresses checks that a name leads to the host, by an alias or by addresses.
func (c Config) compareAddresses(ctx context.Context, lookup Lookup, r Record) (State, string) {
	published, err := addresses(ctx, lookup, r.Name)
	if err != nil {
		return Unclear, err.Error()
	}
	if len(published) == 0 {
		return Missing, "the name has no address"
	}
	host, err := addresses(ctx, lookup, c.Host+".")
	if err != nil {
		return Unclear, err.Error()
	}
	for _, address := range published {
		if slices.Contains(host, address) {
			return OK, ""
		}
	}
	return Differs, fmt.Sprintf("the name has %s, the host %s", strings.Join(published, ", "), strings.Join(host, ", "))
}

func addresses(ctx context.Context, lookup Lookup, name string) (all []string, err error) {
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		records, _, err := lookup(ctx, name, kind)
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
