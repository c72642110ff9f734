// Package intake takes in TLS reports, RFC 8460: those that come by mail, by HTTPS and
// from files. It reads them, checks who signed them, and has the ledger keep them.
//
//	mail ───▶ Hop ─────▶ the next hop, as ever
//	            └ copy ─┐
//	HTTPS ─▶ ServeHTTP ─┼─▶ tlsrpt ─▶ who signed it? ─▶ ledger
//	files ─▶ Hand ──────┘
//
// All of it is hostile: a report says what its sender says, and only a DKIM signature ties
// it to a domain. What is not signed is kept too, and marked.
//
// # Limits
//
// What is being read takes at most 64 MiB altogether, a mail [tlsrpt.MaxMailSize] of
// it; two reports are taken apart at once. What finds no room is refused, or left to
// the next hop's mailbox.
package tlsrptin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtp"
	"postern/tlsrpt"
)

// Settings say what is taken in. The zero value takes in nothing by mail.
type Settings struct {
	// Addresses are those that reports come to by mail, in any case.
	Addresses []string

	// Only keeps mail to Addresses from the next hop: Postern takes it alone.
	Only bool

	// Resolver is the DNS server that has the keys of signatures; empty: the system's.
	Resolver string
}

// A Store keeps reports, as [ledger.Ledger] does: when AddReport returns the report is
// safe.
type Store interface {
	AddReport(context.Context, ledger.Report) (ledger.AddedReport, error)
}

// An Receiver takes reports in for a server. It is safe for concurrent use.
type Receiver struct {
	addresses map[string]bool
	only      bool
	keys      keys
	store     Store
	log       *slog.Logger

	room      *room
	reading   chan struct{} // holds as many as reports are taken apart
	admission *admission.Control

	queue   chan arrival
	close   sync.Once
	closing chan struct{}
	stop    context.CancelFunc
	working sync.WaitGroup
}

const (
	maxHeld    = 64 << 20
	maxReading = 2  // one takes up to some 100 MiB until it is kept
	maxQueued  = 64 // mails
	workers    = 8  // they wait for DNS, mostly
)

// New makes an intake whose reports go to store.
func New(s Settings, store Store, log *slog.Logger) *Receiver {
	i := &Receiver{
		addresses: make(map[string]bool),
		only:      s.Only,
		keys:      newKeys(s.Resolver),
		store:     store,
		log:       log,
		room:      &room{left: maxHeld},
		reading:   make(chan struct{}, maxReading),
		admission: admission.New(),
		queue:     make(chan arrival, maxQueued),
		closing:   make(chan struct{}),
	}
	for _, address := range s.Addresses {
		i.addresses[smtp.FoldMailbox(address)] = true
	}
	var ctx context.Context
	ctx, i.stop = context.WithCancel(context.Background())
	for range workers {
		i.working.Go(func() { i.work(ctx) })
	}
	return i
}

// Close takes in the mails that wait, for as long as ctx lasts.
func (i *Receiver) Close(ctx context.Context) {
	i.close.Do(func() { close(i.closing) })
	done := make(chan struct{})
	go func() {
		i.working.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	i.stop()
}

// keepTime bounds the wait for the disk.
const keepTime = 30 * time.Second

// keep stores a report, and tells of it.
func (i *Receiver) keep(ctx context.Context, r ledger.Report) (ledger.AddedReport, error) {
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	filed, err := i.store.AddReport(ctx, r)
	if err == nil {
		i.log.Info("TLS report is kept", told(r, filed)...)
	}
	return filed, err
}

// told is what the log says of a report. One that is POSTed has no session, and may name no
// submitter.
func told(r ledger.Report, filed ledger.AddedReport) []any {
	about := []any{logkey.Report, filed.ID, logkey.New, filed.New, logkey.Via, string(r.Via)}
	if r.Session != "" {
		about = append(about, logkey.Session, r.Session)
	}
	if r.Submitter != "" {
		about = append(about, logkey.Submitter, r.Submitter)
	}
	return append(about, logkey.Verdict, r.Verdict)
}

// takeMail keeps the report of a mail. With unless it does not where its signer's key could not
// be asked for now, and says so.
func (i *Receiver) takeMail(ctx context.Context, a arrival, unless bool) (later bool, err error) {
	signed := i.keys.signatures(ctx, a.bytes) // before it is taken apart, since DNS may be slow
	if err := i.begin(ctx); err != nil {
		return false, err
	}
	defer i.end()
	r, later, err := readMail(a.bytes, signed)
	if err != nil || later && unless {
		return later, err
	}
	r.Via, r.Session, r.Address, r.At = ledger.ByMail, a.session, a.from, a.at
	warnOfFuture(&r)
	_, err = i.keep(ctx, r)
	return false, err
}

// readMail reads a mail's report and says who signed it.
func readMail(mail []byte, signed signatures) (r ledger.Report, later bool, err error) {
	m, err := tlsrpt.ParseMail(bytes.NewReader(mail))
	if err != nil {
		return r, false, err
	}
	r, err = ofMail(m)
	v := signed.judge(m)
	r.Verified, r.Signer, r.Verdict, r.Submitter = v.trusted, v.signer, v.words, v.submitter
	return r, v.later, err
}

// begin waits for a turn to take a report apart.
func (i *Receiver) begin(ctx context.Context) error {
	select {
	case i.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errBusy
	}
}

func (i *Receiver) end() { <-i.reading }

// ofMail is what a mail says.
func ofMail(m *tlsrpt.Mail) (ledger.Report, error) {
	r, err := ofReport(m.Report)
	warnings := words(m.Warnings)
	if named := smtp.FoldDomain(m.Name.Submitter); named != "" && named != submitter(m) {
		warnings = append(warnings, fmt.Sprintf("file name: says %.80q, TLS-Report-Submitter %.80q", named, submitter(m)))
	}
	r.Warnings = append(warnings, r.Warnings...)
	return r, err
}

// ofReport is what a report says. The content is what package tlsrpt writes, so that copies
// that differ in spaces or compression are one report.
func ofReport(report *tlsrpt.Report) (ledger.Report, error) {
	content, err := json.Marshal(report)
	if err != nil {
		return ledger.Report{}, fmt.Errorf("%w: %w", tlsrpt.ErrNotReport, err)
	}
	if len(content) > tlsrpt.MaxReportSize {
		return ledger.Report{}, fmt.Errorf("%d bytes as it is kept: %w", len(content), tlsrpt.ErrTooLarge)
	}
	r := ledger.Report{
		Organization: report.Organization, ReportID: report.ID, Start: report.Start, End: report.End,
		Warnings: words(report.Warnings), Content: content,
	}
	seen := make(map[string]bool)
	for _, p := range report.Policies {
		r.Successful += p.Successful
		r.Failed += p.Failed
		if name := smtp.FoldDomain(p.Policy.Domain); name != "" && !seen[name] {
			seen[name] = true
			r.Domains = append(r.Domains, name)
		}
	}
	return r, nil
}

func words(warnings []tlsrpt.Warning) []string {
	all := make([]string, len(warnings))
	for i, w := range warnings {
		all[i] = w.String()
	}
	return all
}

// warnOfFuture warns of a report about days that have not been.
func warnOfFuture(r *ledger.Report) {
	if r.End.After(r.At.Add(24 * time.Hour)) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("date-range: ends at %s, later than it came", r.End.Format(time.RFC3339)))
	}
}
