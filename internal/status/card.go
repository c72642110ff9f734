package status

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/admission"
	"postern/internal/alert"
	"postern/internal/delivery"
	"postern/internal/fallback"
	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/organization"
	"postern/internal/safetext"
	"postern/interop"
)

// A Card is a sender that needs the operator: those of one organization, or of one unknown
// network, that fail in the same way. Or it is a host of the fleet, or an open alert about something
// else; then it has only Title, First, Host and Alert.
type Card struct {
	Effect       delivery.Effect           // 0: a host, or an alert
	Title        string                    // who, as in the sentence
	Organization organization.Organization // unknown: there is one network
	Names        []string                  // in EHLO, at most 3
	Networks     []netip.Prefix            // at most 20
	MoreNetworks int                       // that are left out

	Case       *interop.Case // nil: no known case
	Confidence interop.Confidence
	Evidence   []string // of the last of these handshakes

	First, Last time.Time // failed handshake since the last that worked
	Failed      int64     // these handshakes
	Hosts       []string  // of the fleet at which they were, or that have the alert; none: there is no fleet
	Worked      time.Time // the last that worked before; zero if none is known
	Plaintext   time.Time // the last mail in plaintext after them; zero if there was none

	Session   string            // the last of these handshakes
	Decisions []ledger.Decision // of the fallback about them, the newest first, at most 3
	Host      *fleet.Member     // that has a problem; nil: it is no card of a host
	Alert     *ledger.Alert     // the open one about it; nil if there is none
	Answer    string            // how Postern answers the next attempt, and why, in words
}

const (
	maxCardNames     = 3
	maxCardHosts     = 3
	maxCardDecisions = 3 // and networks for which they are read
)

// cardsOf returns a card for each organization and case, the worst first.
func cardsOf(troubled []sender) (cards []Card) {
	type key struct {
		who  who
		what string
	}
	for _, group := range grouped(troubled, func(s sender) key { return key{s.who(), s.Diagnosis.Case} }) {
		cards = append(cards, newCard(group))
	}
	return cards
}

// shown returns at most so many cards of senders, the worst, and how many are left out. Strangers can
// make senders up: wide networks take turns, in them networks.
func shown(cards []Card, most int) ([]Card, int) {
	all := inOrder(cards, nil)
	admission.TakeTurns(all, func(c Card) netip.Prefix { return c.Networks[0] })
	more := max(0, len(all)-most)
	return all[:len(all)-more], more
}

// inOrder returns cards of senders and those of other alerts, the worst first.
func inOrder(cards, others []Card) []Card {
	all := slices.Concat(cards, others)
	slices.SortStableFunc(all, func(a, b Card) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()),
			cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.isNew(), b.isNew()),
			cmp.Compare(len(b.Networks)+b.MoreNetworks, len(a.Networks)+a.MoreNetworks), cmp.Compare(b.Failed, a.Failed))
	})
	return all
}

// isNew is 1 if no session of the sender is known to have worked: one that delivered before is
// missed first.
func (c Card) isNew() int {
	if c.Worked.IsZero() {
		return 1
	}
	return 0
}

func newCard(group []sender) Card {
	networks := networksOf(group)
	c := Card{
		Effect: group[0].Effect, Title: title(group), Organization: group[0].Organization,
		Networks: networks[:min(len(networks), maxNetworks)], MoreNetworks: max(0, len(networks)-maxNetworks),
		First: group[0].Since,
	}
	if known, ok := interop.Find(group[0].Diagnosis.Case); ok {
		c.Case = known
	}
	for _, s := range group {
		c.Effect = min(c.Effect, s.Effect)
		c.Failed += s.Failed
		c.Confidence = max(c.Confidence, interop.Confidence(s.Diagnosis.Confidence))
		if s.Since.Before(c.First) {
			c.First = s.Since
		}
		if s.Last.After(c.Last) {
			c.Last, c.Session, c.Answer, c.Evidence = s.Last, s.Session, s.Next, s.Diagnosis.Evidence
		}
		if s.Worked.After(c.Worked) {
			c.Worked = s.Worked
		}
		if s.Effect == delivery.InPlaintext && s.Plaintext.After(c.Plaintext) {
			c.Plaintext = s.Plaintext
		}
		if s.Host != "" && !slices.Contains(c.Hosts, s.Host) {
			c.Hosts = append(c.Hosts, s.Host)
		}
		if s.EHLO != "" && len(c.Names) < maxCardNames && !slices.Contains(c.Names, s.EHLO) {
			c.Names = append(c.Names, s.EHLO)
		}
	}
	slices.Sort(c.Hosts)
	return c
}

// At is at which hosts of the fleet, in words with a blank before; empty without a fleet.
func (c Card) At() string {
	named := make([]string, min(len(c.Hosts), maxCardHosts))
	for i := range named {
		named[i] = safetext.Shorten(c.Hosts[i], 60)
	}
	switch more := len(c.Hosts) - len(named); {
	case more > 0:
		return fmt.Sprintf(" at %s and %d more hosts", strings.Join(named, ", "), more)
	case len(named) > 0:
		return " at " + strings.Join(named, ", ")
	}
	return ""
}

// readDecisions reads what the fallback did about the senders since they fail.
func (c *Card) readDecisions(ctx context.Context, book Book) error {
	for _, network := range c.Networks[:min(len(c.Networks), maxCardDecisions)] {
		found, err := book.Decisions(ctx, ledger.Filter{Since: c.First, Sender: network.String(), Limit: maxCardDecisions})
		if err != nil {
			return err
		}
		for _, d := range found {
			if !slices.Contains(c.Decisions, d) { // one about the fingerprint in all networks
				c.Decisions = append(c.Decisions, d)
			}
		}
	}
	slices.SortStableFunc(c.Decisions, func(a, b ledger.Decision) int { return b.At.Compare(a.At) })
	c.Decisions = c.Decisions[:min(len(c.Decisions), maxCardDecisions)]
	return nil
}

// State is that of the sender, or of what the alert is about.
func (c Card) State() State {
	if c.Effect == delivery.CannotDeliver || c.isAlert() && alert.Kind(c.Alert.Kind).StopsMail() {
		return Failed
	}
	return Attention
}

// Next is the one next step, as a sentence.
func (c Card) Next() string {
	switch {
	case c.isAlert():
		return c.Alert.Next
	case c.Host != nil:
		return c.Host.Next()
	}
	return delivery.NextStep(c.Effect, c.Case, c.Answer, !c.Plaintext.IsZero(), c.Networks)
}

// Why says what is wrong, of a card that is not of a sender.
func (c Card) Why() string {
	if c.Host != nil {
		return c.Host.Text()
	}
	return c.Alert.Text
}

// A Step is something that Postern did already, and why, in a sentence without its full stop.
type Step struct {
	At   time.Time // zero: not yet
	Text string
}

// Did returns what Postern did already, the last first: the decisions of the fallback, or how
// it will answer the next attempt. An alert has none.
func (c Card) Did() (steps []Step) {
	for _, d := range c.Decisions {
		text := "Postern changed the mode from " + d.From.String() + " to " + d.To.String()
		switch d.Kind {
		case fallback.RetryFailed:
			text = "Postern retried mode " + d.From.String() + ", and stays in " + d.To.String()
		case fallback.Pinned:
			text = "The operator pinned the mode to " + d.To.String()
		case fallback.Unpinned:
			text = "The operator removed a pin to " + d.From.String()
		case fallback.Forgotten:
			text = "Postern forgot the sender's mode"
		}
		steps = append(steps, Step{d.At, text + ": " + clause(d.Why)})
	}
	if len(steps) > 0 || c.Answer == "" {
		return steps
	}
	if mode, changes := delivery.NextMode(c.Answer); changes {
		_, reason, _ := strings.Cut(c.Answer, ": ")
		return []Step{{Text: "Postern answers the next attempt in mode " + mode + ": " + clause(reason)}}
	}
	_, reason, ok := strings.Cut(c.Answer, ": ") // after "mode stock again" or "nothing"
	if !ok {
		return nil
	}
	return []Step{{Text: "Nothing: " + clause(reason)}}
}

// clause is a reason without a full stop, which the operator may have typed.
func clause(reason string) string { return strings.TrimRight(reason, ". ") }
