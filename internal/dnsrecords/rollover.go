package dnsrecords

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Step is the next step of a key rollover (RFC 7671, Section 8.1).
type Step string

// The steps, in order.
const (
	None      Step = "none"    // no rollover is pending
	Publish   Step = "publish" // the missing records
	Wait      Step = "wait"    // until no cache holds the old records any more
	Switch    Step = "switch"  // to the certificate of the next key
	Remove    Step = "remove"  // the records of keys that are not in use
	Undecided Step = "unclear" // the published records could not be looked up
)

// A Rollover is the state of a key rollover.
type Rollover struct {
	Step          Step
	Until         time.Time // of Wait
	NextPublished bool      // the record of the next key is published
}

// rolloverState is what the next step depends on.
type rolloverState struct {
	currentPublished bool // the records of all keys in use are published
	nextPending      bool // a next key is prepared and not in use yet
	nextPublished    bool // its record is published
	nextSeen         time.Time
	othersPublished  bool          // records of other keys are published
	ttl              time.Duration // of the published records
}

// next returns the next step. While the record of a key in use is missing, senders that
// check DANE do not deliver, so publishing it comes first.
func (s rolloverState) next(now time.Time) Rollover {
	r := Rollover{Step: None, NextPublished: s.nextPublished}
	seen := s.nextSeen
	if seen.IsZero() || seen.After(now) {
		seen = now
	}
	switch until := seen.Add(s.ttl); {
	case !s.currentPublished || s.nextPending && !s.nextPublished:
		r.Step = Publish
	case s.nextPending && now.Before(until):
		r.Step, r.Until = Wait, until
	case s.nextPending:
		r.Step = Switch
	case s.othersPublished:
		r.Step = Remove
	}
	return r
}

// compareKeys compares the TLSA records. That of the next key is the last required.
func (c Config) compareKeys(ctx context.Context, lookup Lookup, required []Record, nextSeen, now time.Time) ([]Result, Rollover) {
	records, secure, err := lookup(ctx, c.tlsaName(), dns.TypeTLSA)
	published := keyHashes(records)
	unused := len(records) == 0 && !secure && c.Next == nil
	s := rolloverState{currentPublished: true, nextPending: c.nextPending(), nextSeen: nextSeen, ttl: longestTTL(records)}
	var results []Result
	for i, r := range required {
		result := Result{r, OK, ""}
		isNext := s.nextPending && i == len(required)-1
		switch {
		case err != nil:
			result.State, result.Why = Unclear, err.Error()
		case slices.Contains(published, r.Data):
			s.nextPublished = isNext
		case unused:
			result.State, result.Why = Optional, "the answer is not validated by DNSSEC, which DANE requires"
		default:
			result.State, result.Why = Missing, "senders that check DANE would refuse this key"
			s.currentPublished = s.currentPublished && isNext
		}
		results = append(results, result)
	}
	for _, data := range published {
		if !slices.ContainsFunc(required, func(r Record) bool { return r.Data == data }) {
			s.othersPublished = true
			results = append(results, Result{Record{Name: c.tlsaName(), Type: "TLSA", Data: data}, Differs, "not the record of a key of this server"})
		}
	}
	if err != nil {
		return results, Rollover{Step: Undecided}
	}
	return results, s.next(now)
}

// keyHashes returns the data of the records 3 1 1. Other TLSA records, such as those of
// an authority's key, are left to the operator.
func keyHashes(records []dns.RR) (all []string) {
	for _, rr := range records {
		if text := strings.ToLower(data(rr)); rr.Header().Rrtype == dns.TypeTLSA && strings.HasPrefix(text, "3 1 1 ") {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// longestTTL is how long a cache may keep a set of records. In an answer from a cache the
// TTL has run down; a signature has the original one (RFC 4034, Section 3.1.4).
func longestTTL(records []dns.RR) time.Duration {
	var seconds uint32
	for _, rr := range records {
		seconds = max(seconds, rr.Header().Ttl)
		if sig, ok := rr.(*dns.RRSIG); ok {
			seconds = max(seconds, sig.OrigTtl)
		}
	}
	return time.Duration(seconds) * time.Second
}
