package demo

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/config"
	"postern/internal/durable"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/testcert"
)

const (
	// historyTime is how far the history goes back: all that a ledger keeps.
	historyTime = ledger.DefaultMaxAge - time.Hour

	// messageTime is how far back handshakes that completed have their messages: the ledger keeps
	// those of the last one of each sender.
	messageTime = 2 * 24 * time.Hour

	// refusalTime is how far back there are refused commands.
	refusalTime = 10 * 24 * time.Hour
)

// An event is something to store, and when it happened.
type event struct {
	at    time.Time
	store func(*ledger.Ledger)
}

// writeHistory writes a new ledger in a data folder.
func writeHistory(ctx context.Context, data string, h *history, log *slog.Logger) error {
	if err := durable.MkdirAll(data, 0o700); err != nil {
		return err
	}
	slices.SortStableFunc(h.events, func(a, b event) int { return a.at.Compare(b.at) })
	book := ledger.Open(config.LedgerFile(data), ledger.Options{Log: log})
	for _, e := range h.events {
		e.store(book)
	}
	var errs []error
	for _, report := range h.reports { // at the end: each waits for what is queued
		_, err := book.AddReport(ctx, report)
		errs = append(errs, err)
	}
	errs = append(errs, book.Close())
	if n := book.Stats().Dropped; n > 0 {
		errs = append(errs, fmt.Errorf("%d events of the history were not stored", n))
	}
	return errors.Join(errs...)
}

// A history makes events from what was recorded.
type history struct {
	now     time.Time
	random  *mathrand.Rand
	events  []event
	reports []ledger.Report
}

// history returns 90 days: copies of what was recorded while the certificate was
// valid, and after it expired.
func (w *world) history(now time.Time, valid, expired *recording) *history {
	// The same every time, so that the pages of two demos look alike.
	h := &history{now: now, random: mathrand.New(mathrand.NewPCG(2024, 10))}
	expiry := now.Add(-expiredFor)
	for i, s := range w.senders {
		mine := valid.of(s.addr)
		switch {
		case len(mine) == 0: // the program is not installed
		case s.in(scanner):
			h.all(failed(mine), now.Add(-26*time.Hour), time.Second)
		case s.in(clinic):
			for _, t := range h.times(s.every, now) {
				h.all(mine[:2], t, 3*time.Second)
			}
		case s.in(bank):
			h.some(mine, h.times(s.every, expiry))
			for k, t := range retries(expiry.Add(time.Duration(3+7*i%5)*time.Minute), now) {
				refused := failed(expired.of(s.addr))
				h.handshake(refused[min(k, len(refused)-1)], t)
			}
		case s.is != nil:
			changed := changeOf(now, i)
			first := slices.IndexFunc(mine, func(x ledger.Handshake) bool { return x.Outcome == ledger.Failed })
			h.some(mine[:first], h.times(s.every, changed))
			h.handshake(mine[first], changed)
			h.handshake(mine[first+1], changed.Add(2*time.Minute))
			h.some(mine[first+1:], h.timesFrom(changed.Add(10*time.Minute), s.every, now))
			h.fellBack(valid, mine[first], changed)
		default:
			h.some(mine, h.times(s.every, now))
		}
	}
	h.refused(valid)
	h.reported(valid)
	h.changed(valid, w.expired)
	return h
}

// changeOf is when the i-th of outlook.com's hosts changed: yesterday, so that their TLS report is
// there today, and within the last 24 hours, so that the first page shows it. Late in the day, when
// little of yesterday is within them, only the first host changed yesterday.
func changeOf(now time.Time, i int) time.Time {
	today := dayBefore(now, 0)
	yesterday := 24*time.Hour - now.Sub(today) // what the last 24 hours have of it
	if yesterday < 2*time.Hour {
		return today.Add(time.Duration(2*i-1) * 20 * time.Minute)
	}
	return today.Add(-yesterday * time.Duration(20-i) / 30)
}

// of returns the handshakes of an address.
func (r *recording) of(addr netip.Addr) (all []ledger.Handshake) {
	for _, h := range r.handshakes {
		if h.Address == addr {
			all = append(all, h)
		}
	}
	return all
}

// failed returns those of some handshakes that failed.
func failed(all []ledger.Handshake) []ledger.Handshake {
	return slices.DeleteFunc(slices.Clone(all), func(h ledger.Handshake) bool { return h.Outcome != ledger.Failed })
}

// times returns the times until an end at which a sender delivers that does so every so often:
// less at night and on Sundays.
func (h *history) times(every time.Duration, until time.Time) []time.Time {
	return h.timesFrom(h.now.Add(-historyTime), every, until)
}

func (h *history) timesFrom(t time.Time, every time.Duration, until time.Time) (all []time.Time) {
	for {
		t = t.Add(every/2 + time.Duration(h.random.Int64N(int64(every))))
		if !t.Before(until) {
			return all
		}
		quiet := t.UTC().Hour() < 6 || t.Weekday() == time.Sunday
		if !quiet || h.random.IntN(3) == 0 {
			all = append(all, t)
		}
	}
}

// retries returns the times at which a sender tries again that has failed first at a time: at
// growing intervals, as mail servers do.
func retries(t, until time.Time) (all []time.Time) {
	for wait := 2 * time.Minute; t.Before(until); wait *= 2 {
		all = append(all, t)
		t = t.Add(wait)
	}
	return all
}

// some adds one of some handshakes at each time.
func (h *history) some(of []ledger.Handshake, at []time.Time) {
	for _, t := range at {
		h.handshake(of[h.random.IntN(len(of))], t)
	}
}

// all adds handshakes one after the other.
func (h *history) all(of []ledger.Handshake, t time.Time, pause time.Duration) {
	for _, one := range of {
		h.handshake(one, t)
		t = t.Add(pause)
	}
}

// handshake adds a copy of a handshake at a time.
func (h *history) handshake(of ledger.Handshake, t time.Time) {
	of.ID, of.After, of.Revised, of.Session, of.At = 0, "", "", newSession(), t
	if of.Outcome != ledger.Failed && h.now.Sub(t) > messageTime {
		of.Transcript = nil
	}
	h.add(t, func(book *ledger.Ledger) { book.AddHandshake(of) })
}

// newSession returns a session id in the form of Postern's.
func newSession() string { return rand.Text()[:10] }

func (h *history) add(t time.Time, store func(*ledger.Ledger)) {
	h.events = append(h.events, event{t, store})
}

// fellBack adds what the fallback decided and learned when a sender failed.
func (h *history) fellBack(r *recording, failed ledger.Handshake, t time.Time) {
	for _, d := range r.decisions {
		if d.Network == failed.Network && d.Fingerprint == failed.Fingerprint {
			d.At = t
			h.add(t, func(book *ledger.Ledger) { book.AddDecisions([]fallback.Decision{d.Decision}) })
		}
	}
	for _, s := range r.states {
		if s.Network == failed.Network && s.Fingerprint == failed.Fingerprint {
			s.Since, s.Seen = t, h.now
			h.add(h.now, func(book *ledger.Ledger) { book.AddStates([]fallback.State{s}) })
		}
	}
}

// changed adds what the server noted of itself when it started, with the certificate that has
// expired since: it got it at the beginning, and no other.
func (h *history) changed(r *recording, expired *testcert.Pair) {
	for _, e := range r.events {
		e.At = h.now.Add(-historyTime)
		if e.Kind == ledger.CertificateChanged {
			e.Text = "until " + expired.TLS.Leaf.NotAfter.UTC().Format(time.DateOnly)
		}
		h.add(e.At, func(book *ledger.Ledger) { book.AddEvent(e) })
	}
}

// refused adds refused commands.
func (h *history) refused(r *recording) {
	for _, one := range r.refusals {
		for _, t := range h.timesFrom(h.now.Add(-refusalTime), 8*time.Hour, h.now) {
			refusal := one
			refusal.Last, refusal.Session, refusal.Count = t, newSession(), 1
			h.add(t, func(book *ledger.Ledger) { book.AddRefusal(refusal) })
		}
	}
}

// reported adds TLS reports, received at most three hours after the day that they are about.
func (h *history) reported(r *recording) {
	for _, report := range r.reports {
		report.At = report.End.Add(min(3*time.Hour, h.now.Sub(report.End)/2))
		h.reports = append(h.reports, report)
	}
	slices.SortFunc(h.reports, func(a, b ledger.Report) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(b.Submitter, a.Submitter))
	})
}
