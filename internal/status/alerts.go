package status

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern/internal/alert"
	"postern/internal/ledger"
)

// openAlerts returns the alerts whose cause lasts. One whose cause is gone is still open for a
// while, in case it comes back.
func openAlerts(ctx context.Context, book Book, now time.Time) ([]ledger.Alert, error) {
	found, err := book.Alerts(ctx, ledger.AlertFilter{Host: ledger.Here, Since: now, Limit: maxAlerts})
	return slices.DeleteFunc(found, func(a ledger.Alert) bool { return !a.Ended.IsZero() || !a.Gone.IsZero() }), err
}

// withAlerts notes open alerts on the cards of the senders that they are about. The others get
// cards of their own.
func withAlerts(cards []Card, open []ledger.Alert) (noted, others []Card) {
	noted = slices.Clone(cards)
	for _, a := range open {
		of := slices.IndexFunc(noted, func(c Card) bool { return alert.Kind(a.Kind).AboutSender() && c.isAbout(a.Subject) })
		if of >= 0 {
			noted[of].Alert = &a
			continue
		}
		others = append(others, Card{Title: alert.Kind(a.Kind).Heading(a.Subject), First: a.Since, Alert: &a})
	}
	slices.SortStableFunc(others, func(a, b Card) int { return cmp.Compare(b.rank(), a.rank()) })
	return noted, others
}

// isAbout reports whether a card of senders is about the subject of an alert.
func (c Card) isAbout(subject string) bool {
	return alert.SubjectOf(c.Organization.Domain, c.Networks[0]) == subject
}

// isOfSender reports whether a card is an alert about a sender.
func (c Card) isOfSender() bool { return c.Effect == 0 && alert.Kind(c.Alert.Kind).AboutSender() }

// isNextHop reports whether a card says that no mail gets through.
func (c Card) isNextHop() bool { return c.Effect == 0 && alert.Kind(c.Alert.Kind) == alert.NextHopDown }

// rank says how bad a card is: the worse, the higher. Without a next hop there is no mail at all.
func (c Card) rank() int {
	rank := 4 * int(c.State())
	switch {
	case c.isNextHop():
		rank += 3
	case c.Effect != 0:
		rank += 2
	case c.isOfSender():
		rank++
	}
	return rank
}
