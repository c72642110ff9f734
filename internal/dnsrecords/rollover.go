package dnsrecords

import (
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Step is what comes next in the change of a key (RFC 7671, Section 8.1).
type Step string

// The steps, in their order.
const (
	Settled   Step = "settled" // nothing is to be done
	Publish   Step = "publish" // the records that are missing
	Wait      Step = "wait"    // until nobody holds the old set of records any more
	Switch    Step = "switch"  // to the certificate of the next key
	Remove    Step = "remove"  // the records of keys that are used no more
	Undecided Step = "unclear" // it could not be told what is published
)

// A Rollover is where the change of a key stands.
type Rollover struct {
	Step  Step
	Until time.Time     // of Wait
	TTL   time.Duration // of the published records

	// Published tells that the record of the next key is.
	Published bool
}

// A standing is all that the next step depends on.
type standing struct {
	current bool // all keys in use are published
	next    bool // a next key is prepared, and not in use yet
	nextOut bool // its record is published
	extra   bool // records of other keys are published
	seen    time.Time
	ttl     time.Duration
}

// step says which comes. A record of a key in use that is missing keeps mail out
// now, so it comes before all others.
func (s standing) step(now time.Time) Rollover {
	r := Rollover{Step: Settled, TTL: s.ttl, Published: s.nextOut}
	since := s.seen
	if since.IsZero() {
		since = now
	}
	switch until := since.Add(s.ttl); {
	case !s.current || s.next && !s.nextOut:
		r.Step = Publish
	case s.next && now.Before(until):
		r.Step, r.Until = Wait, until
	case s.next:
		r.Step = Switch
	case s.extra:
		r.Step = Remove
	}
	return r
}

// keys holds the TLSA records against those that are published. That of the next key
// comes last.
func (e *exam) keys(wanted []Record, seen, now time.Time) ([]Result, Rollover) {
	records, secure, err := e.lookup(e.ctx, e.tlsaName()+".", dns.TypeTLSA)
	published := hashes(records)
	idle := len(records) == 0 && !secure && e.Next == nil
	s := standing{current: true, next: e.Next != nil && !e.switched(), seen: seen, ttl: longest(records)}
	var results []Result
	for i, r := range wanted {
		result := Result{r, Right, ""}
		switch {
		case err != nil:
			result.State, result.Why = Unclear, err.Error()
		case slices.Contains(published, r.Data):
			s.nextOut = s.next && i == len(wanted)-1
		case idle:
			result.State, result.Why = Optional, "the DNS server does not call the zone signed, and without that it does nothing"
		default:
			result.State, result.Why = Missing, "senders that check DANE would refuse this key"
			s.current = s.current && s.next && i == len(wanted)-1
		}
		results = append(results, result)
	}
	for _, data := range published {
		if !slices.ContainsFunc(wanted, func(r Record) bool { return r.Data == data }) {
			s.extra = true
			results = append(results, Result{Record{Name: e.tlsaName() + ".", Type: "TLSA", Data: data}, Differs, "it is of no key here"})
		}
	}
	if err != nil {
		return results, Rollover{Step: Undecided}
	}
	return results, s.step(now)
}

// hashes are the data of the records 3 1 1. Others that may stand beside them, of an
// authority's key, say, are not ours to judge.
func hashes(records []dns.RR) (all []string) {
	for _, rr := range records {
		if text := strings.ToLower(data(rr)); rr.Header().Rrtype == dns.TypeTLSA && strings.HasPrefix(text, "3 1 1 ") {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// longest is how long a cache may keep a set of records. A signature tells the whole time
// where the answer comes from a cache, whose own count runs down (RFC 4034, Section 3.1.4).
func longest(records []dns.RR) time.Duration {
	var seconds uint32
	for _, rr := range records {
		seconds = max(seconds, rr.Header().Ttl)
		if sig, ok := rr.(*dns.RRSIG); ok {
			seconds = max(seconds, sig.OrigTtl)
		}
	}
	return time.Duration(seconds) * time.Second
}
