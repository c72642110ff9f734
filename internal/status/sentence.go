package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/alert"
	"postern/internal/delivery"
	"postern/internal/ledger"
	"postern/internal/organization"
	"postern/internal/safetext"
)

// A sentence says in one line how everybody's mail does.
type sentence struct {
	span    string // in words
	past    bool   // the span has ended
	traffic ledger.Traffic
	cut     bool // there may be more senders that fail
	now     time.Time
}

// maxNamed is how many organizations the sentence names.
const maxNamed = 3

// about returns the sentence about senders that fail, and what else is open.
func (s sentence) about(troubled []sender, others []Card) string {
	if i := slices.IndexFunc(others, Card.isNextHop); i >= 0 {
		text := "No mail gets through" + others[i].At() + ", since " + clock(others[i].First, s.now) + ": " + alert.Kind(others[i].Alert.Kind).About(others[i].Alert.Subject) + "."
		if len(troubled) > 0 {
			text += " " + s.aboutSenders(troubled)
		}
		return text + opened(slices.Delete(slices.Clone(others), i, i+1))
	}
	text := s.aboutSenders(troubled)
	if len(others) > 0 && others[0].isOfSender() {
		return strings.TrimSuffix(text, ".") + ", but" + opened(others)
	}
	return text + opened(others)
}

// opened names other alerts, after the sentence.
func opened(others []Card) string {
	switch more := len(others) - 1; more {
	case -1:
		return ""
	case 0:
		return " " + others[0].Title + others[0].At() + "."
	case 1:
		return " " + others[0].Title + others[0].At() + ", and one more problem is open."
	default:
		return fmt.Sprintf(" %s%s, and %d more problems are open.", others[0].Title, others[0].At(), more)
	}
}

func (s sentence) aboutSenders(troubled []sender) string {
	with := func(e delivery.Effect) []sender {
		return slices.DeleteFunc(slices.Clone(troubled), func(t sender) bool { return t.Effect != e })
	}
	text, clauses := s.begin(with(delivery.CannotDeliver)), []string(nil)
	if some := with(delivery.InPlaintext); len(some) > 0 {
		clauses = append(clauses, s.named(some)+" only in plaintext, after failed handshakes"+s.since(some))
	}
	if some := with(delivery.SomeFail); len(some) > 0 {
		clauses = append(clauses, "some connections of "+s.named(some)+" fail"+s.since(some))
	}
	if some := with(delivery.LastFailed); len(some) > 0 {
		attempts, when := "the last attempt of ", ", at "+clock(some[0].Last, s.now)
		if len(some) > 1 {
			attempts, when = "the last attempts of ", ""
		}
		clauses = append(clauses, attempts+s.named(some)+" failed"+when)
	}
	if len(clauses) == 0 {
		return text + "."
	}
	join := ", but "
	if len(with(delivery.CannotDeliver)) > 0 || !s.traffic.Delivered {
		join = "; "
	}
	return text + join + strings.Join(clauses, "; ") + "."
}

// begin is the sentence without what is less than failed.
func (s sentence) begin(failed []sender) string {
	verb := "delivered"
	if s.past {
		verb = "has delivered"
	}
	switch {
	case s.traffic.Delivered && len(failed) > 0:
		return fmt.Sprintf("Every sender %s %s, except %s%s", s.span, verb, s.named(failed), s.since(failed))
	case s.traffic.Delivered:
		return fmt.Sprintf("Every sender %s %s", s.span, verb)
	case len(failed) > 0:
		return fmt.Sprintf("No mail was delivered %s: %s cannot deliver%s", s.span, s.named(failed), s.since(failed))
	case s.traffic.Worked:
		return "Senders came " + s.span + ", but no message of theirs was accepted"
	}
	return "No mail came " + s.span
}

// named names the organizations of senders, those with most networks first.
func (s sentence) named(all []sender) string {
	groups := grouped(all, sender.who)
	slices.SortStableFunc(groups, func(a, b []sender) int { return len(networksOf(b)) - len(networksOf(a)) })
	var names []string
	for _, group := range groups[:min(len(groups), maxNamed)] {
		names = append(names, title(group))
	}
	switch more := len(groups) - maxNamed; {
	case more == 1:
		names = append(names, "another sender")
	case more > 1 && s.cut:
		names = append(names, fmt.Sprintf("more than %d other senders", more))
	case more > 1:
		names = append(names, fmt.Sprintf("%d other senders", more))
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return names[0]
}

// title names the senders of one organization, or of one network.
func title(group []sender) string {
	networks, o := networksOf(group), group[0].Organization
	switch {
	case o.Domain == "" && group[0].EHLO != "":
		return fmt.Sprintf("%s (%s)", networks[0], safetext.Shorten(group[0].EHLO, maxShown))
	case o.Domain == "":
		return networks[0].String()
	case len(networks) > 1:
		return fmt.Sprintf("%d networks of %s", len(networks), safetext.Shorten(o.Domain, maxShown))
	case o.Label() != organization.Other:
		return "1 network of " + o.Domain
	}
	return safetext.Shorten(o.Domain, maxShown)
}

// maxShown is how much of a name is shown, in characters.
const maxShown = 60

// since says since when senders fail.
func (s sentence) since(all []sender) string {
	first := all[0].Since
	for _, one := range all {
		if one.Since.Before(first) {
			first = one.Since
		}
	}
	if len(grouped(all, sender.who)) > 1 {
		return ", the first since " + clock(first, s.now)
	}
	return ", since " + clock(first, s.now)
}

// clock returns a time in the zone of now: with the day if that is not today.
func clock(at, now time.Time) string {
	at = at.In(now.Location())
	switch {
	case at.Format(time.DateOnly) == now.Format(time.DateOnly):
		return at.Format("15:04 MST")
	case at.Year() == now.Year():
		return at.Format("2 January, 15:04 MST")
	}
	return at.Format("2 January 2006, 15:04 MST")
}
