package alert

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"postern/internal/ledger"
)

const (
	// clearTime is how long a condition has to be gone before its alert ends. It doubles
	// each time that the alert begins again within reopenTime: what comes and goes stays
	// one alert.
	clearTime  = 15 * time.Minute
	reopenTime = 24 * time.Hour

	// maxAlerts bounds the alerts that are open.
	maxAlerts = 1000
)

// A book has the alerts that are open, and those that ended a short time ago.
type book struct {
	alerts  map[subject]*ledger.Alert
	last    int64                   // id
	changed map[int64]*ledger.Alert // since they were stored
}

// A subject is what can have one open alert.
type subject struct {
	kind Kind
	of   string
}

// openBook returns a book with stored alerts; last is the highest id of any. What was not looked
// at while no process ran is not over yet.
func openBook(stored []ledger.Alert, last int64, now time.Time) *book {
	b := &book{make(map[subject]*ledger.Alert), last, make(map[int64]*ledger.Alert)}
	for _, a := range stored {
		if a.Ended.IsZero() {
			a.Seen = now
		}
		key := subject{Kind(a.Kind), a.Subject}
		if known := b.alerts[key]; known == nil || known.ID < a.ID {
			b.alerts[key] = &a
		}
	}
	return b
}

// update makes the alerts of what is wrong now. It returns those that began or ended.
func (b *book) update(now time.Time, conditions []Condition) (changed []*ledger.Alert) {
	for _, c := range conditions {
		if a, began := b.note(now, c); began {
			changed = append(changed, a)
		}
	}
	for key, a := range b.alerts {
		switch {
		case !a.Ended.IsZero() && now.Sub(a.Ended) > reopenTime:
			delete(b.alerts, key)
		case a.Ended.IsZero() && now.Sub(a.Seen) >= min(clearTime<<min(a.Reopened, 16), reopenTime):
			a.Ended = now
			b.touch(a)
			changed = append(changed, a)
		case a.Ended.IsZero() && a.Gone.IsZero() && a.Seen.Before(now):
			a.Gone = now
			b.touch(a)
		}
	}
	slices.SortFunc(changed, func(a, b *ledger.Alert) int { return cmp.Compare(a.ID, b.ID) })
	return changed
}

// note notes that a condition holds now. It returns the alert, and whether that begins with it.
func (b *book) note(now time.Time, c Condition) (a *ledger.Alert, began bool) {
	if c.Since.IsZero() || c.Since.After(now) {
		c.Since = now
	}
	key := subject{c.Kind, c.Subject}
	a = b.alerts[key]
	switch {
	case a == nil && len(b.alerts) >= maxAlerts:
		return nil, false
	case a == nil:
		b.last++
		a = &ledger.Alert{ID: b.last, Kind: string(c.Kind), Subject: c.Subject, Since: c.Since, Began: now}
		b.alerts[key] = a
		began = true
	case !a.Ended.IsZero():
		a.Ended = time.Time{}
		a.Reopened++
		began = true
	}
	if began || a.Text != c.Text || a.Next != c.Next || !a.Gone.IsZero() {
		b.touch(a)
	}
	a.Text, a.Next, a.Seen, a.Gone = c.Text, c.Next, now, time.Time{}
	return a, began
}

// hold keeps the alerts about senders as they are, while nothing is known of these.
func (b *book) hold(now time.Time) {
	for key, a := range b.alerts {
		if key.kind.readsSessions() && a.Ended.IsZero() && a.Gone.IsZero() {
			a.Seen = now
		}
	}
}

// touch notes that an alert is to be stored.
func (b *book) touch(a *ledger.Alert) { b.changed[a.ID] = a }

// touched returns the alerts to be stored, once.
func (b *book) touched() (all []ledger.Alert) {
	for _, a := range b.changed {
		all = append(all, *a)
	}
	clear(b.changed)
	return all
}

// acknowledge takes over from a stored alert that an operator knows of it.
func (b *book) acknowledge(stored ledger.Alert) {
	if a := b.alerts[subject{Kind(stored.Kind), stored.Subject}]; a != nil && a.ID == stored.ID {
		a.Acknowledged, a.By = stored.Acknowledged, stored.By
	}
}

// current returns all alerts of the book in the order in which they began.
func (b *book) current() []*ledger.Alert {
	return slices.SortedFunc(maps.Values(b.alerts), func(a, b *ledger.Alert) int { return cmp.Compare(a.ID, b.ID) })
}
