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
	"context"
	"log/slog"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtp"
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
	AddReport(context.Context, ledger.Report) (ledger.Filing, error)
}

// An Intake takes reports in for a server. It is safe for concurrent use.
type Intake struct {
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
func New(s Settings, store Store, log *slog.Logger) *Intake {
	i := &Intake{
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
func (i *Intake) Close(ctx context.Context) {
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
func (i *Intake) keep(ctx context.Context, r ledger.Report) (ledger.Filing, error) {
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
func told(r ledger.Report, filed ledger.Filing) []any {
	about := []any{logkey.Report, filed.ID, logkey.New, filed.New, logkey.Via, string(r.Via)}
	if r.Session != "" {
		about = append(about, logkey.Session, r.Session)
	}
	if r.Submitter != "" {
		about = append(about, logkey.Submitter, r.Submitter)
	}
	return append(about, logkey.Verdict, r.Verdict)
}
