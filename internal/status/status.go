// Package status says who cannot deliver, since when, why, and what to do: a sentence, and a
// card for each of the senders that need the operator.
//
//	s, err := status.Read(ctx, book, span, "in the last 24 hours", time.Now())
//	fmt.Println(s.Sentence)
//
// It reads a bounded number of rows of the ledger, however many handshakes there are, and
// neither DNS nor the network.
package status

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/organization"
)

// A State is how the server does, for a symbol and a colour beside the words.
type State int

// The states, the best first, after that without data, which is not good.
const (
	NoData    State = iota // there was no mail
	OK                     // everybody delivered
	Attention              // everybody delivered, but look at it
	Failed                 // somebody cannot deliver
)

// String returns "no data", "ok", "attention" or "failed".
func (s State) String() string {
	return [...]string{NoData: "no data", OK: "ok", Attention: "attention", Failed: "failed"}[s]
}

// MarshalText returns the text of String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Status is what an operator has to know first.
type Status struct {
	Span     ledger.Span
	State    State
	Sentence string
	Cards    []Card // at most maxCards, the worst first
	More     int    // cards that are left out

	// Doubtful counts clients that failed and are not known to send mail, as scanners do.
	// They have no card, and the sentence does not count them.
	Doubtful int

	// Refused counts networks with mail that was refused or deferred, and not accepted since.
	Refused int64
}

const (
	maxCards = 5

	// maxSenders bounds the failing senders that are read, and maxNetworks the networks that
	// a card names.
	maxSenders  = 500
	maxNetworks = 20
)

// A Book is the ledger as far as Read needs it; see [ledger.Reader].
type Book interface {
	Failing(ctx context.Context, in ledger.Span, limit int) ([]ledger.FailingSender, error)
	WorkingSince(ctx context.Context, since time.Time, organizations, fingerprints []string) ([]ledger.WorkingSender, error)
	Traffic(ctx context.Context, in ledger.Span) (ledger.Traffic, error)
	Decisions(ctx context.Context, f ledger.Filter) ([]fallback.Decision, error)
}

// Read returns the status for a span. In words the span is part of the sentence, as in "in the
// last 24 hours". Times in the sentence are in the zone of now.
//
// The senders are those of the span, and the status is what they have done until now: a sender
// that failed in it and has delivered after it needs no one.
func Read(ctx context.Context, book Book, span ledger.Span, inWords string, now time.Time) (Status, error) {
	traffic, err := book.Traffic(ctx, span)
	if err != nil {
		return Status{}, err
	}
	failing, err := readFailing(ctx, book, span)
	if err != nil {
		return Status{}, err
	}
	s := Status{Span: span, Refused: traffic.Refused}
	var troubled []sender
	for _, f := range failing {
		switch f.effect {
		case none:
		case doubtful:
			s.Doubtful++
		default:
			troubled = append(troubled, f)
		}
	}
	s.State = stateOf(traffic, troubled)
	s.Sentence = sentence{inWords, span.To.Before(now.Add(-time.Minute)), traffic, len(failing) == maxSenders, now}.about(troubled)
	s.Cards = cardsOf(troubled)
	s.More = max(0, len(s.Cards)-maxCards)
	s.Cards = s.Cards[:len(s.Cards)-s.More]
	for i := range s.Cards {
		if err := s.Cards[i].readDecisions(ctx, book); err != nil {
			return Status{}, err
		}
	}
	return s, nil
}

// A Sender identifies a sender.
type Sender struct {
	Network           netip.Prefix
	EHLO, Fingerprint string
}

// Effects returns what the failures of the senders mean that failed in the span, for those that
// need the operator.
func Effects(ctx context.Context, book Book, span ledger.Span) (map[Sender]Effect, error) {
	failing, err := readFailing(ctx, book, span)
	if err != nil {
		return nil, err
	}
	effects := make(map[Sender]Effect)
	for _, f := range failing {
		if f.effect > none {
			effects[Sender{f.Network, f.EHLO, f.Fingerprint}] = f.effect
		}
	}
	return effects, nil
}

// A sender is a failing sender with what that means.
type sender struct {
	ledger.FailingSender
	organization organization.Organization
	effect       Effect
}

// readFailing returns the senders that failed in the span, at most maxSenders.
func readFailing(ctx context.Context, book Book, span ledger.Span) (all []sender, err error) {
	failing, err := book.Failing(ctx, span, maxSenders)
	if err != nil {
		return nil, err
	}
	known, err := newRelatives(ctx, book, failing)
	if err != nil {
		return nil, err
	}
	for _, f := range failing {
		all = append(all, sender{f, organization.Of(f.Name, f.EHLO), known.judge(f)})
	}
	return all, nil
}

// who identifies the organisation of a sender, or the network of an unknown one.
func (s sender) who() who {
	if s.organization.Domain == "" {
		return who{network: s.Network}
	}
	return who{domain: s.organization.Domain}
}

type who struct {
	domain  string
	network netip.Prefix
}

func stateOf(t ledger.Traffic, troubled []sender) State {
	switch {
	case slices.ContainsFunc(troubled, func(s sender) bool { return s.effect == CannotDeliver }):
		return Failed
	case len(troubled) > 0 || t.Worked && !t.Delivered:
		return Attention
	case !t.Worked:
		return NoData
	}
	return OK
}

// grouped returns senders in groups, each in the order of the senders, and the groups in the
// order of their first.
func grouped[K comparable](all []sender, key func(sender) K) (groups [][]sender) {
	at := make(map[K]int)
	for _, s := range all {
		k := key(s)
		if _, ok := at[k]; !ok {
			at[k] = len(groups)
			groups = append(groups, nil)
		}
		groups[at[k]] = append(groups[at[k]], s)
	}
	return groups
}

// networksOf returns the networks of senders, in order.
func networksOf(all []sender) (networks []netip.Prefix) {
	for _, s := range all {
		networks = append(networks, s.Network)
	}
	slices.SortFunc(networks, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(networks)
}
