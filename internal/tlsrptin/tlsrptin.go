// Package tlsrptin receives TLS reports (RFC 8460) by mail, by HTTPS POST and from
// files, verifies their DKIM signatures, and stores them in the ledger.
//
//	mail ───▶ Hop ─────────▶ the next hop
//	            └ copy ────┐
//	POST ──▶ ServeHTTP ────┼─▶ tlsrpt ─▶ DKIM ─▶ ledger
//	files ─▶ FileReader ───┘
//
// # Security
//
// All input is untrusted. A report contains whatever its sender wrote, and only a DKIM
// signature connects it to a domain. Reports without a valid signature are stored too,
// as unverified.
//
// # Limits
//
// Mail that is being received or waits to be read uses at most 48 MiB, POSTs 32 MiB, a message at
// most [tlsrpt.MaxMailSize]. It has five minutes to arrive. When either room is full, the
// client's network that holds most makes room for others, and networks take turns: two reports
// are verified and parsed at a time. Reports beyond these limits are refused or, if they have
// been delivered to the next hop, not stored.
package tlsrptin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/internal/dkim"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/safetext"
	"postern/internal/smtp"
	"postern/tlsrpt"
)

// Settings are the settings of a [Receiver].
type Settings struct {
	// Addresses are the mail addresses for reports, in any case. Without any, no reports
	// are received by mail.
	Addresses []string

	// Only stores reports by mail without delivering them to the next hop.
	Only bool

	// Resolver is the DNS server for DKIM keys. If it is empty, the system's is used.
	Resolver string

	// Verified, when not nil, is called when the DKIM signatures of a mail were verified, with
	// the time that it took, DNS included.
	Verified func(took time.Duration)
}

// A Store stores reports, as [ledger.Ledger] does. AddReport returns when the report is
// on disk.
type Store interface {
	AddReport(context.Context, ledger.Report) (ledger.AddedReport, error)
}

// A Receiver receives reports for a server. It is safe for concurrent use.
type Receiver struct {
	addresses map[string]bool
	only      bool
	keys      keyLookup
	verified  func(took time.Duration)
	store     Store
	log       *slog.Logger

	mail, posts *room
	reading     *turns // of messages: they wait for DNS most of the time
	parsing     *turns
	admission   *admission.Limiter

	mu      sync.Mutex
	closed  bool
	pending sync.WaitGroup  // the messages that the next hop has accepted
	running context.Context // until they have to end
	stop    context.CancelFunc
}

const (
	maxReading = 32
	maxParsing = 2 // parsing and storing one report takes up to 100 MiB
)

var errStopping = errors.New("the server stops")

// New returns a Receiver that stores reports in store.
func New(s Settings, store Store, log *slog.Logger) *Receiver {
	rc := &Receiver{
		addresses: make(map[string]bool),
		only:      s.Only,
		keys:      newKeyLookup(s.Resolver),
		verified:  s.Verified,
		store:     store,
		log:       log,
		mail:      newRoom(mailRoom),
		posts:     newRoom(postRoom),
		reading:   newTurns(maxReading),
		parsing:   newTurns(maxParsing),
		admission: admission.New(),
	}
	for _, address := range s.Addresses {
		rc.addresses[smtp.FoldMailbox(address)] = true
	}
	rc.running, rc.stop = context.WithCancel(context.Background())
	return rc
}

// Close stores the reports that the next hop has accepted until ctx ends.
func (rc *Receiver) Close(ctx context.Context) {
	rc.mu.Lock()
	rc.closed = true
	rc.mu.Unlock()
	done := make(chan struct{})
	go func() {
		rc.pending.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	rc.stop()
}

// storeTimeout bounds the wait for the disk.
const storeTimeout = 30 * time.Second

// add stores a report and logs that.
func (rc *Receiver) add(ctx context.Context, r ledger.Report) (ledger.AddedReport, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	added, err := rc.store.AddReport(ctx, r)
	if err == nil {
		rc.log.Info("TLS report stored", logAttrs(r, added)...)
	}
	return added, err
}

// logAttrs returns the log attributes of a report. A report by POST has no session and
// may have no submitter.
func logAttrs(r ledger.Report, added ledger.AddedReport) []any {
	attrs := []any{logkey.Report, added.ID, logkey.New, added.New, logkey.Via, string(r.Via)}
	if r.Session != "" {
		attrs = append(attrs, logkey.Session, r.Session)
	}
	if r.Submitter != "" {
		attrs = append(attrs, logkey.Submitter, r.Submitter)
	}
	return append(attrs, logkey.Verdict, r.Verdict)
}

// parseMail parses a message and decides who sent its report. With retry, a DKIM key that
// could change that cannot be looked up now.
func parseMail(mail []byte, signatures []dkim.Signature, received receipt) (r ledger.Report, retry bool, err error) {
	m, err := tlsrpt.ParseMail(bytes.NewReader(mail))
	if err != nil {
		return r, false, err
	}
	r, err = newReport(m.Report)
	warnings := warningStrings(m.Warnings)
	if named := smtp.FoldDomain(m.Name.Submitter); named != "" && named != submitter(m) {
		warnings = append(warnings, fmt.Sprintf("file name: names the submitter %s, TLS-Report-Submitter names %s",
			safetext.Quote(named, maxQuoted), safetext.Quote(submitter(m), maxQuoted)))
	}
	r.Warnings = append(warnings, r.Warnings...)
	v := verdictOn(m, signatures, received)
	r.Verified, r.Signer, r.Verdict, r.Submitter = v.verified, v.signer, v.reason, v.submitter
	return r, v.retry, err
}

// newReport returns a report for the ledger. Its content is normalised by package tlsrpt,
// so that copies that differ in white space or compression are the same report.
func newReport(report *tlsrpt.Report) (ledger.Report, error) {
	content, err := json.Marshal(report)
	if err != nil {
		return ledger.Report{}, fmt.Errorf("%w: %w", tlsrpt.ErrNotReport, err)
	}
	if len(content) > tlsrpt.MaxReportSize {
		return ledger.Report{}, fmt.Errorf("%d bytes when normalised: %w", len(content), tlsrpt.ErrTooLarge)
	}
	r := ledger.Report{
		Organization: report.Organization, ReportID: report.ID, Start: report.Start, End: report.End,
		Warnings: warningStrings(report.Warnings), Content: content,
	}
	seen := make(map[string]bool)
	for _, p := range report.Policies {
		r.Successful += p.Successful
		r.Failed += p.FailedSessions()
		if name := smtp.FoldDomain(p.Policy.Domain); name != "" && !seen[name] {
			seen[name] = true
			r.Domains = append(r.Domains, name)
		}
	}
	return r, nil
}

func warningStrings(warnings []tlsrpt.Warning) []string {
	all := make([]string, len(warnings))
	for i, w := range warnings {
		all[i] = w.String()
	}
	return all
}

// maxQuoted bounds what is quoted of a name in a warning, in characters.
const maxQuoted = 80

// warnIfInFuture adds a warning to a report about days after its arrival.
func warnIfInFuture(r *ledger.Report) {
	if r.End.After(r.At.Add(24 * time.Hour)) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("date-range: ends at %s, after the report arrived", r.End.Format(time.RFC3339)))
	}
}
