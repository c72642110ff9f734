package alert

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/organization"
)

const (
	// settleTime is how long after its first failure a sender has to fail still before that is
	// an alert. Senders retry within minutes, the fallback needs some of their tries, and a
	// network is often repaired by then.
	settleTime = 30 * time.Minute

	// apartTime is how far apart tries are that fail for a reason of their own: a sender with
	// a queue makes many at once.
	apartTime = time.Minute

	// usedTo is how often a sender has to have delivered before, so that it used to.
	usedTo = 3

	// giveUpTime is how long after its last try a sender has stopped trying: senders give up
	// after five days (RFC 5321, Section 4.5.4.1).
	giveUpTime = 5 * 24 * time.Hour

	// plaintextTime is how long after mail in plaintext a sender counts as sending so, if it
	// has not used TLS since.
	plaintextTime = 7 * 24 * time.Hour

	// falseAlarms is how many alerts a week may be due to chance, over all senders.
	falseAlarms = 0.4

	// fewRuns is how many runs of failures a week there are at least: more may come.
	fewRuns = 20

	// rarely is the least share of tries that fail by chance: less cannot be known.
	rarely = 0.003

	// certainty is how many tries of all senders weigh as much as those of one, until it has
	// made more.
	certainty = 5

	// mostApart bounds the tries in a row that are counted.
	mostApart = 100

	// forgetful is the number of tries after which the older ones count half.
	forgetful = 200

	// maxRhythms bounds the senders that are known. When there are more, networks take turns,
	// and each loses those that delivered least and longest ago.
	maxRhythms = 50_000

	// forgetTime is how long a sender is known after its last try.
	forgetTime = 90 * 24 * time.Hour
)

// A name says which senders a rhythm is of: those of an organisation in one network, or, with
// no network, all of them. A large sender retries from other networks; a stranger that uses its
// name does not come from them.
type name struct {
	organization string // a domain; empty: unknown
	network      netip.Prefix
}

// A rhythm is how a sender's tries usually end, and how the last ones did.
type rhythm struct {
	Organization string       `json:"o,omitempty"`
	Network      netip.Prefix `json:"n,omitzero"`

	Delivered int64     `json:"d,omitempty"` // tries
	Secure    int64     `json:"s,omitempty"` // of them, with TLS
	Good      float64   `json:"g,omitempty"` // share of tries that end well, recent ones weighing more
	Bad       float64   `json:"b,omitempty"`
	Last      time.Time `json:"l"` // try

	// From is the network of the last try, where Network is none.
	From netip.Prefix `json:"w,omitzero"`

	Failing   run `json:"f,omitzero"`
	Plaintext run `json:"p,omitzero"` // mail in plaintext after failed handshakes
}

// A run is a series of tries that ended alike, the last one included.
type run struct {
	Since time.Time `json:"s"`
	Last  time.Time `json:"l"`
	Tries int64     `json:"t"`
	Apart int64     `json:"a"`           // tries at least apartTime after the one before
	Case  string    `json:"c,omitempty"` // of the last one
	ID    string    `json:"i,omitempty"` // the session of the last one
}

func (r *run) add(t ledger.Try) {
	if r.Tries == 0 {
		r.Since = t.At
	}
	if t.At.Sub(r.Last) >= apartTime {
		r.Apart++
	}
	r.Last, r.Case, r.ID = t.At, t.Case, t.Session
	r.Tries++
}

// troubled reports whether a sender fails, or sends in plaintext.
func (r *rhythm) troubled() bool { return r.Failing.Tries+r.Plaintext.Tries > 0 }

func (r *rhythm) name() name { return name{r.Organization, r.Network} }

// rhythms know how the tries of each sender usually end. They are for one goroutine.
type rhythms struct {
	all      map[name]*rhythm
	troubled map[name]*rhythm // those that fail, or send in plaintext
	good     float64          // tries of all senders that deliver, as of a rhythm
	bad      float64
	runs     rate
}

func newRhythms() *rhythms {
	return &rhythms{all: make(map[name]*rhythm), troubled: make(map[name]*rhythm)}
}

// note notes a try of a sender of an organisation. Anybody can use its name in EHLO: only with
// reverse DNS a try counts for the organisation as a whole.
func (rs *rhythms) note(of organization.Organization, t ledger.Try) {
	if t.Case == ledger.Scanner {
		return
	}
	rs.noteOf(name{of.Domain, t.Network}, t)
	if of.By == organization.ReverseDNS {
		rs.noteOf(name{organization: of.Domain}, t)
	}
}

func (rs *rhythms) noteOf(n name, t ledger.Try) {
	failed := t.Outcome == ledger.Failed || t.Unused
	r := rs.all[n]
	if r == nil {
		if failed {
			return // only one that used to deliver can have stopped
		}
		r = &rhythm{Organization: n.organization, Network: n.network}
		rs.all[n] = r
		if len(rs.all) > maxRhythms {
			rs.shrink(maxRhythms - maxRhythms/20)
		}
	}
	if t.Elsewhere && t.At.Before(r.Failing.Last) {
		return // it worked at another host before it failed here, and is known late
	}
	r.Last = t.At
	if !n.network.IsValid() {
		r.From = t.Network
	}
	troubled := r.troubled()
	switch {
	case failed:
		r.Failing.add(t)
		if r.Failing.Tries == 1 && n.network.IsValid() {
			rs.runs.add(t.At)
		}
		rs.troubled[n] = r
		return
	case t.Returned && r.Secure >= usedTo:
		r.Plaintext.add(t)
		rs.troubled[n] = r
	case t.Outcome != ledger.Plaintext:
		r.Secure++
		r.Plaintext = run{}
	}
	r.Delivered++
	rs.bad += r.recover()
	rs.good++
	if rs.good+rs.bad > 100*forgetful {
		rs.good, rs.bad = rs.good/2, rs.bad/2
	}
	if troubled && !r.troubled() {
		delete(rs.troubled, n)
	}
}

// recover counts a run of failures as chance, since the sender delivers again. However long the
// run was, it weighs little: what caused it is over.
func (r *rhythm) recover() (bad float64) {
	bad = float64(min(r.Failing.Apart, 10))
	r.Good, r.Bad = r.Good+1, r.Bad+bad
	r.Failing = run{}
	if r.Good+r.Bad > forgetful {
		r.Good, r.Bad = r.Good/2, r.Bad/2
	}
	return bad
}

// chance is the probability that as many tries in a row fail by chance as a sender's last did,
// after the first. How often its tries fail is known the better the more it has made, so each
// that fails makes the next failure more likely: Pólya's urn, begun with some tries of all senders.
func (rs *rhythms) chance(r *rhythm) float64 {
	usual := max(rs.bad/max(rs.good+rs.bad, 1), rarely)
	bad, tries := r.Bad+certainty*usual, r.Good+r.Bad+certainty
	chance := 1.0
	for range min(r.Failing.Apart, mostApart) - 1 {
		chance *= bad / tries
		bad, tries = bad+1, tries+1
	}
	return chance
}

// stopped reports whether a sender used to deliver and does not any more: it has failed for a
// while, and more often in a row than happens by chance. Of the runs of failures that begin in a
// week, so many get as long by chance as their senders' tries fail then.
func (rs *rhythms) stopped(r *rhythm) bool {
	f := r.Failing
	if r.Delivered < usedTo || f.Apart < 2 || f.Last.Sub(f.Since) < settleTime {
		return false
	}
	return rs.chance(r) <= falseAlarms/max(rs.runs.week(), fewRuns)
}

// shrink forgets all but so many senders. Anybody can make up any number, in their own networks.
func (rs *rhythms) shrink(keep int) {
	known := slices.SortedFunc(maps.Values(rs.all), func(a, b *rhythm) int {
		return cmp.Or(cmp.Compare(min(b.Delivered, usedTo), min(a.Delivered, usedTo)), b.Last.Compare(a.Last))
	})
	admission.TakeTurns(known, func(r *rhythm) netip.Prefix {
		if r.Network.IsValid() {
			return r.Network
		}
		return r.From
	})
	for _, r := range known[min(keep, len(known)):] {
		rs.remove(r)
	}
}

func (rs *rhythms) remove(r *rhythm) {
	delete(rs.all, r.name())
	delete(rs.troubled, r.name())
}

// expire ends what is over because nothing more happened.
func (rs *rhythms) expire(now time.Time) {
	for n, r := range rs.troubled {
		if now.Sub(r.Failing.Last) > giveUpTime {
			r.Failing = run{}
		}
		if now.Sub(r.Plaintext.Last) > plaintextTime {
			r.Plaintext = run{}
		}
		if !r.troubled() {
			delete(rs.troubled, n)
		}
	}
}

// forgetOld forgets senders that have not tried for long.
func (rs *rhythms) forgetOld(now time.Time) {
	for _, r := range rs.all {
		if now.Sub(r.Last) > forgetTime {
			rs.remove(r)
		}
	}
}

// A rate counts events, those of half a week ago half as much as those of now.
type rate struct {
	Count float64   `json:"count"`
	Hours float64   `json:"hours"` // in which they were, counted alike
	Last  time.Time `json:"last"`
}

const halfLife = 84 * time.Hour

func (r *rate) add(at time.Time) {
	switch {
	case r.Last.IsZero():
		r.Last = at
	case at.After(r.Last):
		kept := math.Exp2(-at.Sub(r.Last).Hours() / halfLife.Hours())
		r.Count, r.Hours = r.Count*kept, r.Hours*kept+(1-kept)*halfLife.Hours()/math.Ln2
		r.Last = at
	}
	r.Count++
}

// week returns how many events there are in a week.
func (r *rate) week() float64 { return r.Count / max(r.Hours, 1) * 7 * 24 }

// storedRhythms are rhythms as they are stored.
type storedRhythms struct {
	Good float64   `json:"good"`
	Bad  float64   `json:"bad"`
	Runs rate      `json:"runs"`
	All  []*rhythm `json:"all"`
}

func (rs *rhythms) stored() storedRhythms {
	return storedRhythms{rs.good, rs.bad, rs.runs, slices.Collect(maps.Values(rs.all))}
}

func (rs *rhythms) restore(stored storedRhythms) {
	rs.good, rs.bad, rs.runs = stored.Good, stored.Bad, stored.Runs
	for _, r := range stored.All {
		rs.all[r.name()] = r
		if r.troubled() {
			rs.troubled[r.name()] = r
		}
	}
}
