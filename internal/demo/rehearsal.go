package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/config"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/persona"
	"postern/internal/testreport"
)

// A recording is what a Postern stored in a rehearsal.
type recording struct {
	handshakes []ledger.Handshake // in order
	decisions  []ledger.Decision
	states     []fallback.State
	refusals   []ledger.Refusal
	reports    []ledger.Report
	events     []ledger.Event
}

// rehearse runs scenes against a new Postern and returns what it stored.
func (w *world) rehearse(ctx context.Context, load func() (*config.Config, error), log *slog.Logger, scenes func(context.Context, *postern) error) (*recording, error) {
	p, err := w.start(load, log)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(scenes(ctx, p), p.close(), ctx.Err()); err != nil {
		return nil, err
	}
	r, err := read(ctx, config.LedgerFile(p.config.Data))
	if err == nil {
		w.complete(r)
	}
	return r, err
}

// complete sets what a ledger stores of a handshake and does not return, and the names that
// the Postern had not looked up yet.
func (w *world) complete(r *recording) {
	for i := range r.handshakes {
		h := &r.handshakes[i]
		refused := slices.ContainsFunc(r.refusals, func(x ledger.Refusal) bool { return x.Session == h.Session })
		h.Delivered = h.Outcome != ledger.Failed && !refused
		for _, s := range w.senders {
			if s.addr == h.Address {
				h.Name = strings.ToLower(s.host)
			}
		}
	}
}

// read reads all of a small ledger.
func read(ctx context.Context, path string) (*recording, error) {
	book, err := ledger.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer book.Close()
	const all = 10000
	r := new(recording)
	var errs [6]error
	r.handshakes, errs[0] = book.Handshakes(ctx, ledger.Filter{Limit: all})
	r.decisions, errs[1] = book.Decisions(ctx, ledger.Filter{Limit: all})
	r.states, errs[2] = book.States(ctx)
	r.refusals, errs[3] = book.Refusals(ctx, ledger.RefusalFilter{Limit: all})
	r.reports, errs[4] = book.Reports(ctx, ledger.ReportFilter{Limit: all})
	r.events, errs[5] = book.Events(ctx, ledger.Span{}, all)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	slices.SortFunc(r.handshakes, func(a, b ledger.Handshake) int { return int(a.ID - b.ID) })
	for i, h := range r.handshakes {
		if r.handshakes[i], err = book.Handshake(ctx, h.Session); err != nil { // with its transcript
			return nil, err
		}
	}
	for i, report := range r.reports {
		if r.reports[i], err = book.Report(ctx, report.ID); err != nil { // with its content
			return nil, err
		}
	}
	return r, nil
}

// beforeExpiry is what senders do while the certificate is valid.
func (w *world) beforeExpiry(ctx context.Context, p *postern) error {
	err := w.eachSender(func(s *sender) error {
		switch {
		case s.program != "":
			return w.run(ctx, p, s)
		case s.in(scanner):
			w.scan(ctx, p, s)
			return nil
		}
		w.deliverTwice(ctx, p, s, s.was)
		if s.is != nil {
			w.deliver(ctx, p, s, s.is, recipient, nil) // it fails, and the sender falls back
			w.deliverTwice(ctx, p, s, s.is)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.refused(ctx, p)
	return w.report(p)
}

// afterExpiry is what senders that verify certificates do later.
func (w *world) afterExpiry(ctx context.Context, p *postern) error {
	return w.eachSender(func(s *sender) error {
		if s.in(bank) {
			for range 3 {
				w.deliver(ctx, p, s, s.was, recipient, nil)
			}
		}
		return nil
	})
}

// eachSender calls do for all senders at once.
func (w *world) eachSender(do func(*sender) error) error {
	var working group
	for _, s := range w.senders {
		working.do(func() error { return do(s) })
	}
	return working.wait()
}

// A group runs functions at once.
type group struct {
	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

func (g *group) do(f func() error) {
	g.running.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.errs = append(g.errs, err)
		}
	})
}

func (g *group) wait() error {
	g.running.Wait()
	return errors.Join(g.errs...)
}

// deliverTwice delivers two messages. The second connection resumes if it can.
func (w *world) deliverTwice(ctx context.Context, p *postern, s *sender, as *persona.Persona) {
	first := w.deliver(ctx, p, s, as, recipient, nil)
	w.deliver(ctx, p, s, as, recipient, first)
}

// scan tries all ClientHellos at once.
func (w *world) scan(ctx context.Context, p *postern, s *sender) {
	var trying sync.WaitGroup
	for _, as := range persona.All() {
		if t, err := w.target(p, s, as); err == nil {
			trying.Go(func() { as.Run(ctx, t) })
		}
	}
	trying.Wait()
}

// refused sends what Postern refuses: mail to somebody that does not exist, and mail that it
// would have to relay.
func (w *world) refused(ctx context.Context, p *postern) {
	s := w.of(newsletter)[0]
	for _, to := range []string{"former@" + domain, "postmaster@elsewhere.example"} {
		w.deliver(ctx, p, s, s.was, to, nil)
	}
}

// reportDays is for how many days there are TLS reports.
const reportDays = 14

// report mails TLS reports: signed ones for each of the last days, and one that is not signed.
func (w *world) report(p *postern) error {
	var mailing group
	for day := 1; day <= reportDays; day++ {
		for name, of := range map[string]*sender{"microsoft.com": w.of(outlook)[0], university: w.of(university)[0]} {
			r := testreport.Report{Submitter: name, Domain: domain, Day: dayBefore(w.now, day), Successful: 12 + day%5}
			r.ID = fmt.Sprintf("%s-%s", r.Day.Format(time.DateOnly), domain)
			for i := range w.of(outlook) {
				if of.is != nil && day == 1 && changeOf(w.now, i).Before(dayBefore(w.now, 0)) {
					r.Failed++
				}
			}
			mail := w.signers[name].Sign(w.scope, r.Mail())
			mailing.do(func() error { return w.mail(p, w.reporter(of), "tlsrpt@"+name, reportAddress, mail) })
		}
	}
	unsigned := testreport.Report{Submitter: club, Domain: domain, Day: dayBefore(w.now, 3), ID: "3", Successful: 20, Failed: 2}
	mailing.do(func() error { return w.mail(p, w.of(club)[0], "tlsrpt@"+club, reportAddress, unsigned.Mail()) })
	return mailing.wait()
}

// reporter returns the host that mails the reports of a sender: for outlook.com one that has
// not changed.
func (w *world) reporter(of *sender) *sender {
	if of.is == nil {
		return of
	}
	return &sender{host: "NAM06-DM3-obe.outbound.protection.outlook.com", addr: ip("198.18.4.10")}
}

// dayBefore returns the beginning of a day in UTC, some days before a time.
func dayBefore(t time.Time, days int) time.Time {
	return t.UTC().Truncate(24*time.Hour).AddDate(0, 0, -days)
}
