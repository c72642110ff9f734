package alert

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/safetext"
)

const (
	week        = 7 * 24 * time.Hour
	summaryHour = 7 // of Monday, in UTC
	maxFailing  = 5 // senders that a summary names
)

// lastWeek returns the end of the last week that a summary is about: a Monday.
func lastWeek(now time.Time) time.Time {
	now = now.UTC().Add(-summaryHour * time.Hour)
	days := (int(now.Weekday()) + 6) % 7 // since Monday
	return time.Date(now.Year(), now.Month(), now.Day()-days, 0, 0, 0, 0, time.UTC)
}

// summarise sends a summary of the last week by mail, if it is due.
func (n *notifier) summarise(ctx context.Context, reader *ledger.Reader, now time.Time) error {
	end := lastWeek(now)
	for _, channel := range n.Channels {
		state := n.states[channel.Name()]
		if !n.Weekly || channel.Name() != (*Mail)(nil).Name() || state == nil || !state.Week.Before(end) || now.Before(state.retry) {
			continue
		}
		text, err := summary(ctx, reader, end.Add(-week), end)
		if err != nil {
			return err
		}
		if n.send(ctx, channel, state, Message{Host: n.Host, Time: now, Events: []Event{}, Summary: text}, now) {
			state.Week = end
		}
	}
	return nil
}

// summary is the week in words.
func summary(ctx context.Context, reader *ledger.Reader, from, to time.Time) (string, error) {
	days, err := reader.Days(ctx, ledger.Filter{Host: ledger.Here, Since: from, Limit: 10_000})
	if err != nil {
		return "", err
	}
	var counts ledger.Counts
	for _, d := range days {
		if d.Day.Before(to) {
			counts.Add(d.Counts)
		}
	}
	failing, err := reader.Senders(ctx, ledger.Filter{Host: ledger.Here, Since: from, Failed: true, Limit: maxFailing})
	if err != nil {
		return "", err
	}
	alerts, err := reader.Alerts(ctx, ledger.AlertFilter{Host: ledger.Here, Since: from})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From %s to %s (UTC):\n\n", from.Format(time.DateOnly), to.Add(-time.Second).Format(time.DateOnly))
	fmt.Fprintf(&b, "%s with TLS, %d of them resumed\n", plural(counts.Full+counts.Resumed, "session", "sessions"), counts.Resumed)
	fmt.Fprintf(&b, "%s\n", plural(counts.Failed, "failed handshake", "failed handshakes"))
	fmt.Fprintf(&b, "%s in plaintext, %d of them after a failed handshake\n\n", plural(counts.Plaintext, "session", "sessions"), counts.Returned)
	if len(failing) > 0 {
		b.WriteString("Senders with failed handshakes, those with the most sessions first:\n")
	}
	for _, s := range failing {
		fmt.Fprintf(&b, "  %s %s: %d of %d failed\n", s.Network, safetext.Shorten(s.EHLO, 60), s.Failed, s.Full+s.Resumed+s.Failed+s.Plaintext)
	}
	if len(alerts) == 0 {
		b.WriteString("\nNo alerts.\n")
		return b.String(), nil
	}
	b.WriteString("\nAlerts:\n")
	for i, a := range alerts {
		if i == maxEvents {
			fmt.Fprintf(&b, "  and %d more\n", len(alerts)-maxEvents)
			break
		}
		until := "open"
		if !a.Ended.IsZero() {
			until = "ended " + stamp(a.Ended)
		}
		fmt.Fprintf(&b, "  %d: %s, since %s, %s\n", a.ID, Kind(a.Kind).About(a.Subject), stamp(a.Since), until)
	}
	return b.String(), nil
}
