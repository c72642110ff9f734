// Package alert finds what an operator has to know at once, and tells it by mail, webhook or
// command: few messages, one when something begins, one when it ends, a reminder a day.
//
//	w := alert.New(alert.Settings{...})
//	go w.Run(ctx)
//
// # The way of an alert
//
// Rules say each minute what is wrong now, as [Condition]s. Those about senders read the
// sessions that the ledger has stored since (rhythm.go, senders.go), others the reports
// (reports.go); the server brings its own ([Settings].Own). The book (book.go) makes alerts of
// them: one for each kind and subject, which begins, lasts and ends. A notifier (notify.go)
// compares the alerts with what each [Channel] was told, and tells it the difference. So a
// channel that was down learns what is true when it is back, and nothing is told twice, even
// after a restart: the ledger has the alerts, and what was said of them.
//
// # Mail comes first
//
// Nothing here is called by a session. A failure of a channel is logged and tried again later,
// and never an alert itself.
package alert

import (
	"context"
	"log/slog"
	"time"

	"postern/internal/delivery"
	"postern/internal/ledger"
	"postern/internal/logkey"
)

// A Condition is something that is wrong now.
type Condition struct {
	Kind    Kind
	Subject string    // who or what it is about
	Since   time.Time // zero: since now
	Text    string    // what is wrong, in sentences
	Next    string    // what to do, in one sentence
}

// Settings are what a [Watcher] watches, and the channels that it tells.
type Settings struct {
	Host   string // of the server
	Ledger *ledger.Ledger
	Path   string // of the ledger

	// Own, if not nil, returns the conditions that only the server knows. It must not wait
	// for more than some seconds.
	Own func(context.Context) []Condition

	Channels  []Channel
	MaxPerDay int  // messages of a channel in 24 hours; 0 means [DefaultMaxPerDay]
	Weekly    bool // also send a summary of each week, by channels that can

	Log *slog.Logger
}

// DefaultMaxPerDay is the default of [Settings].MaxPerDay.
const DefaultMaxPerDay = 10

// interval is how often the rules are asked.
const interval = time.Minute

// A Watcher asks the rules, keeps the alerts and tells the channels.
type Watcher struct {
	Settings
	now      func() time.Time
	reader   *ledger.Reader // nil until the ledger can be read
	senders  *senderRules
	reports  reportRule
	book     *book
	notifier *notifier
}

// New returns a watcher. It begins with Run.
func New(s Settings) *Watcher {
	if s.MaxPerDay == 0 {
		s.MaxPerDay = DefaultMaxPerDay
	}
	return &Watcher{Settings: s, now: time.Now}
}

// Run asks the rules each minute until ctx ends. Then it stores what the rules have learned.
func (w *Watcher) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for failing := false; ; {
		err := w.Check(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			w.Log.Warn("cannot check for alerts; trying again", logkey.Err, err)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.close()
			return
		}
	}
}

// Check asks the rules once and tells the channels what is new.
func (w *Watcher) Check(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	now := w.now()
	all, err := w.ofSenders(ctx, now)
	if err != nil {
		return err
	}
	bad, err := w.reports.conditions(ctx, w.reader, now)
	if err != nil {
		return err
	}
	all = append(all, bad...)
	if w.Own != nil {
		all = append(all, w.Own(ctx)...)
	}
	if err := w.acknowledged(ctx, now); err != nil {
		return err
	}
	for _, a := range w.book.update(now, all) {
		w.log(a)
	}
	for _, a := range w.notifier.tell(ctx, w.book.current(), now) {
		w.book.touch(a)
	}
	for _, a := range w.book.touched() {
		w.Ledger.PutAlert(a)
	}
	err = w.notifier.summarise(ctx, w.reader, now)
	w.notifier.save(w.Ledger)
	w.senders.save(w.Ledger, now)
	return err
}

// ofSenders returns what is wrong with senders now. While there are older sessions to read, as
// after an upgrade, nothing is known of that, and the alerts that are open stay open.
func (w *Watcher) ofSenders(ctx context.Context, now time.Time) ([]Condition, error) {
	caughtUp, err := w.senders.read(ctx, w.reader, now)
	if err != nil {
		return nil, err
	}
	if !caughtUp {
		w.book.hold(now)
		return nil, nil
	}
	var judged judgement
	if since, any := w.senders.rhythms.stoppedSince(); any {
		if judged, err = delivery.Judge(ctx, w.reader, ledger.Span{From: since, To: now}); err != nil {
			return nil, err
		}
	}
	return w.senders.conditions(now, judged), nil
}

// open reads what an earlier process stored, once.
func (w *Watcher) open(ctx context.Context) error {
	if w.reader != nil {
		return nil
	}
	reader, err := ledger.OpenReader(w.Path)
	if err != nil {
		return err
	}
	if err := w.restore(ctx, reader); err != nil {
		reader.Close()
		return err
	}
	w.reader = reader
	return nil
}

func (w *Watcher) restore(ctx context.Context, reader *ledger.Reader) error {
	alerts, err := reader.Alerts(ctx, ledger.AlertFilter{Host: ledger.Here, Since: w.now().Add(-reopenTime), Limit: maxAlerts})
	if err != nil {
		return err
	}
	newest, err := reader.LastAlert(ctx)
	if err != nil {
		return err
	}
	w.book = openBook(alerts, newest, w.now())
	if w.senders, err = restoreSenders(ctx, reader); err != nil {
		w.Log.Warn("cannot load what alerts know of senders; learning again", logkey.Err, err)
	}
	w.notifier, err = restoreNotifier(ctx, reader, w.Settings)
	return err
}

func (w *Watcher) close() {
	if w.reader == nil {
		return
	}
	w.senders.saveNow(w.Ledger)
	w.notifier.save(w.Ledger)
	w.reader.Close()
}

// acknowledged takes over which alerts were acknowledged.
func (w *Watcher) acknowledged(ctx context.Context, now time.Time) error {
	open, err := w.reader.Alerts(ctx, ledger.AlertFilter{Host: ledger.Here, Since: now, Limit: maxAlerts})
	for _, a := range open {
		w.book.acknowledge(a)
	}
	return err
}

// log logs what became of an alert.
func (w *Watcher) log(a *ledger.Alert) {
	attrs := []any{logkey.Alert, a.ID, logkey.Kind, a.Kind, logkey.Subject, a.Subject, logkey.Since, a.Since}
	if a.Ended.IsZero() {
		w.Log.Warn("alert began", append(attrs, logkey.Reason, a.Text, logkey.Remedy, a.Next)...)
	} else {
		w.Log.Info("alert ended", attrs...)
	}
}
