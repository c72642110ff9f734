package alert

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/safetext"
)

const (
	// unknownNetworks is from how many wide networks a failure has to come: those of one
	// provider are not unrelated. In each of them a sender has to retry: scanners rarely do.
	unknownNetworks = 3

	// newTime is how long after its first try a failure is new.
	newTime = 7 * 24 * time.Hour

	// overTime is how long after its last try a failure is over.
	overTime = 24 * time.Hour

	// maxUnknowns bounds the failures that are known, maxUnknownNetworks the networks of one.
	maxUnknowns        = 1000
	maxUnknownNetworks = 16
)

// An unknown is a failure that no case explains: senders with one ClientHello stop at one place.
type unknown struct {
	JA4         string                `json:"ja4"`
	Stopped     string                `json:"stopped"`
	First, Last time.Time             // tries
	Session     string                `json:"session"`  // the last one
	Networks    map[netip.Prefix]*run `json:"networks"` // wide ones
}

type signature struct{ ja4, stopped string }

// unknowns are the failures that no case explains.
type unknowns struct{ all map[signature]*unknown }

func newUnknowns() *unknowns { return &unknowns{make(map[signature]*unknown)} }

func (us *unknowns) note(t ledger.Try) {
	if t.JA4 == "" {
		return
	}
	if t.Outcome != ledger.Failed {
		us.delivered(t)
		return
	}
	if t.Case != ledger.Unknown {
		return
	}
	key := signature{t.JA4, t.Stopped}
	u := us.all[key]
	if u == nil {
		us.makeRoom()
		u = &unknown{JA4: t.JA4, Stopped: t.Stopped, First: t.At, Networks: make(map[netip.Prefix]*run)}
		us.all[key] = u
	}
	u.Last, u.Session = t.At, t.Session
	wide := admission.Wide(t.Network.Addr())
	r := u.Networks[wide]
	if r == nil {
		if len(u.Networks) >= maxUnknownNetworks {
			return
		}
		r = new(run)
		u.Networks[wide] = r
	}
	r.add(t)
}

// delivered forgets the failures of a sender that has delivered since.
func (us *unknowns) delivered(t ledger.Try) {
	for key, u := range us.all {
		if key.ja4 == t.JA4 {
			delete(u.Networks, admission.Wide(t.Network.Addr()))
		}
	}
}

// makeRoom forgets failures if there are too many. Networks take turns, since anybody can make up
// any number.
func (us *unknowns) makeRoom() {
	if len(us.all) < maxUnknowns {
		return
	}
	known := slices.SortedFunc(maps.Values(us.all), func(a, b *unknown) int {
		return cmp.Or(cmp.Compare(len(b.Networks), len(a.Networks)), b.Last.Compare(a.Last))
	})
	admission.TakeTurns(known, (*unknown).network)
	for _, u := range known[maxUnknowns-maxUnknowns/20:] {
		delete(us.all, signature{u.JA4, u.Stopped})
	}
}

// network returns one of the networks.
func (u *unknown) network() netip.Prefix {
	networks := slices.SortedFunc(maps.Keys(u.Networks), netip.Prefix.Compare)
	return append(networks, netip.Prefix{})[0]
}

func (us *unknowns) stored() []*unknown { return slices.Collect(maps.Values(us.all)) }

func (us *unknowns) restore(stored []*unknown) {
	for _, u := range stored {
		us.all[signature{u.JA4, u.Stopped}] = u
	}
}

func (us *unknowns) conditions(now time.Time) (all []Condition) {
	for _, u := range us.all {
		since, networks := u.retried()
		if networks < unknownNetworks || since.Sub(u.First) > newTime || now.Sub(u.Last) > overTime {
			continue
		}
		all = append(all, Condition{
			Kind: UnknownFailure, Subject: u.JA4 + ", " + u.Stopped, Since: u.First,
			Text: fmt.Sprintf("Senders in %d unrelated networks with the same ClientHello (JA4 %s) fail and retry since %s, and no known case explains it: %s.",
				networks, safetext.Printable(u.JA4), stamp(u.First), safetext.Printable(u.Stopped)),
			Next: "See the last one with postern handshakes show " + u.Session + ", and report it to Postern's developers.",
		})
	}
	slices.SortFunc(all, func(a, b Condition) int { return cmp.Compare(a.Subject, b.Subject) })
	return all
}

// retried returns in how many networks senders retried, and since when in so many as matter.
func (u *unknown) retried() (since time.Time, networks int) {
	var begun []time.Time
	for _, r := range u.Networks {
		if r.Apart >= 2 {
			begun = append(begun, r.Since)
		}
	}
	if len(begun) < unknownNetworks {
		return since, len(begun)
	}
	slices.SortFunc(begun, time.Time.Compare)
	return begun[unknownNetworks-1], len(begun)
}
