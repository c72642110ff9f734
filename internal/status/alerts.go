package status

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern/internal/alert"
	"postern/internal/fleet"
	"postern/internal/ledger"
)

// openAlerts returns the alerts whose cause lasts, at all hosts of the fleet or at one. One whose cause
// is gone is still open for a while, in case it comes back.
func openAlerts(ctx context.Context, book Book, host string, members []fleet.Member, now time.Time) ([]ledger.Alert, error) {
	found, err := book.Alerts(ctx, ledger.AlertFilter{Host: host, Since: now, Limit: maxAlerts})
	return slices.DeleteFunc(found, func(a ledger.Alert) bool {
		return !a.Ended.IsZero() || !a.Gone.IsZero() || isStale(a, members)
	}), err
}

// isStale reports whether an alert is of a host that does not say any more whether it is so.
func isStale(a ledger.Alert, members []fleet.Member) bool {
	if a.Host == "" {
		return false
	}
	of := slices.IndexFunc(members, func(m fleet.Member) bool { return m.Name == a.Host })
	return of < 0 || members[of].Health == fleet.Missing || members[of].Health == fleet.Stopped
}

// withAlerts notes open alerts on the cards of the senders and hosts that they are about. The others
// get cards of their own, which others has besides those of hosts: one for what several hosts say.
func withAlerts(senders, hosts []Card, open []ledger.Alert) (noted, others []Card) {
	noted, others = slices.Clone(senders), slices.Clone(hosts)
	for _, a := range open {
		about := func(c Card) bool { return c.isAbout(a) }
		if of := slices.IndexFunc(noted, about); of >= 0 {
			noted[of].Alert = &a
			continue
		}
		if of := slices.IndexFunc(others, about); of >= 0 {
			others[of].Alert = &a
			continue
		}
		same := func(c Card) bool { return c.isAlert() && c.Alert.Kind == a.Kind && c.Alert.Subject == a.Subject }
		if of := slices.IndexFunc(others, same); of >= 0 {
			others[of].add(a)
			continue
		}
		others = append(others, newAlertCard(a))
	}
	slices.SortStableFunc(others, func(a, b Card) int { return cmp.Compare(b.rank(), a.rank()) })
	return noted, others
}

func newAlertCard(a ledger.Alert) Card {
	c := Card{Title: alert.Kind(a.Kind).Heading(a.Subject), First: a.Since, Alert: &a}
	if a.Host != "" {
		c.Hosts = []string{a.Host}
	}
	return c
}

// add adds the alert of another host that says the same.
func (c *Card) add(a ledger.Alert) {
	c.Hosts = append(c.Hosts, a.Host)
	slices.Sort(c.Hosts)
	if a.Since.Before(c.First) {
		c.First = a.Since
	}
}

// isAbout reports whether a card is about the sender or the host of an alert.
func (c Card) isAbout(a ledger.Alert) bool {
	switch kind := alert.Kind(a.Kind); {
	case c.Effect != 0:
		return kind.AboutSender() && alert.SubjectOf(c.Organization.Domain, c.Networks[0]) == a.Subject
	case c.Host != nil:
		return kind.AboutHost() && c.Host.Name == a.Subject
	}
	return false
}

// isAlert reports whether a card has nothing but an alert.
func (c Card) isAlert() bool { return c.Effect == 0 && c.Host == nil }

// isOfSender reports whether a card is an alert about a sender.
func (c Card) isOfSender() bool { return c.isAlert() && alert.Kind(c.Alert.Kind).AboutSender() }

// isNextHop reports whether a card says that no mail gets through.
func (c Card) isNextHop() bool { return c.isAlert() && alert.Kind(c.Alert.Kind) == alert.NextHopDown }

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
