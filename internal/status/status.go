// Package status says who cannot deliver, since when, why, and what to do: a sentence, and a
// card for each of the senders, and of the open alerts, that need the operator.
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

	"postern/internal/delivery"
	"postern/internal/fleet"
	"postern/internal/ledger"
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

	// Fleet has the hosts of the fleet, this one included; empty: there is none.
	Fleet []fleet.Member

	// Refused counts networks with mail that was refused or deferred, and not accepted since.
	Refused int64

	// Checked is when the server last checked itself with test clients; zero if it did not.
	Checked time.Time
}

const (
	maxCards = 5

	maxNetworks = 20 // that a card names
	maxAlerts   = 100
)

// A Book is the ledger as far as Read needs it; see [ledger.Reader].
type Book interface {
	delivery.Book
	HostBook
	Traffic(ctx context.Context, in ledger.Span) (ledger.Traffic, error)
	Decisions(ctx context.Context, f ledger.Filter) ([]ledger.Decision, error)
	Alerts(ctx context.Context, f ledger.AlertFilter) ([]ledger.Alert, error)
	Checked(ctx context.Context, kind ledger.CheckKind) (ledger.Checked, error)
}

// Read returns the status for a span. In words the span is part of the sentence, as in "in the
// last 24 hours". Times in the sentence are in the zone of now.
//
// The senders are those of the span, and the status is what they have done until now: a sender
// that failed in it and has delivered after it needs no one. Alerts are those that are open, if
// the span lasts until now; so are the hosts of the fleet.
func Read(ctx context.Context, book Book, span ledger.Span, inWords string, now time.Time) (Status, error) {
	traffic, err := book.Traffic(ctx, span)
	if err != nil {
		return Status{}, err
	}
	failing, err := delivery.Judge(ctx, book, span)
	if err != nil {
		return Status{}, err
	}
	checked, err := book.Checked(ctx, ledger.HostCheck)
	if err != nil {
		return Status{}, err
	}
	past := span.To.Before(now.Add(-time.Minute))
	var open []ledger.Alert
	var hosts []fleet.Member
	if !past {
		if hosts, err = Hosts(ctx, book, now); err != nil {
			return Status{}, err
		}
		if open, err = openAlerts(ctx, book, span.Host, hosts, now); err != nil {
			return Status{}, err
		}
	}
	s := Status{Span: span, Fleet: hosts, Refused: traffic.Refused, Checked: checked.Last}
	var troubled []sender
	for _, f := range failing {
		switch f.Effect {
		case delivery.None:
		case delivery.Doubtful:
			s.Doubtful++
		default:
			troubled = append(troubled, sender{f})
		}
	}
	cards, others := withAlerts(cardsOf(troubled), hostCards(hosts), open)
	s.State = stateOf(traffic, cards, others)
	s.Sentence = sentence{inWords, past, traffic, len(failing) == delivery.MaxSenders, now}.about(troubled, others)
	cards, s.More = shown(cards, maxCards)
	s.Cards = inOrder(cards, others)
	more := max(0, len(s.Cards)-maxCards)
	s.Cards, s.More = s.Cards[:len(s.Cards)-more], s.More+more
	for i := range s.Cards {
		if err := s.Cards[i].readDecisions(ctx, book); err != nil {
			return Status{}, err
		}
	}
	return s, nil
}

// A sender is a failing sender that needs the operator.
type sender struct{ delivery.Sender }

// who identifies the organisation of a sender, or the network of an unknown one.
func (s sender) who() who {
	if s.Organization.Domain == "" {
		return who{network: s.Network}
	}
	return who{domain: s.Organization.Domain}
}

type who struct {
	domain  string
	network netip.Prefix
}

// stateOf returns the state with the cards of senders and those of other alerts.
func stateOf(t ledger.Traffic, cards, others []Card) State {
	state := OK
	switch {
	case t.Worked && !t.Delivered:
		state = Attention
	case !t.Worked:
		state = NoData
	}
	for _, c := range slices.Concat(cards, others) {
		state = max(state, c.State())
	}
	return state
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
