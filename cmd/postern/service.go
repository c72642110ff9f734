package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"postern/internal/acme"
	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/durable"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/mtastsserve"
	"postern/internal/nexthop"
	"postern/internal/nexthop/maildir"
	"postern/internal/nexthop/relay"
	"postern/internal/smtpd"
	"postern/internal/tlsrptin"
	"postern/internal/triage"
	"postern/internal/web"
	"postern/sessionticket"
)

const (
	// watchInterval is how often certificates are looked at.
	watchInterval = 5 * time.Second

	// drainTime is how long sessions may take to finish when the service
	// stops. What is cut off then, the sender brings again. It is less than
	// systemd's 90 seconds.
	drainTime = time.Minute

	// intakeTime is how long reports may take then that the next hop has already.
	intakeTime = 5 * time.Second
)

// A service is the parts that receive mail, put together.
type service struct {
	config *config.Config
	log    *slog.Logger
	level  *slog.LevelVar
	pairs  []certs.Pair
	acme   *acme.Renewer // nil: no authority is asked
	store  *certs.Store
	tls    *tls.Config // one for the service's life: it holds the ticket keys
	hop    nexthop.Hop
	triage *triage.Triage
	intake *tlsrptin.Intake
	server *smtpd.Server
	policy *mtastsserve.Publisher
	web    *web.Server
	failed chan error // of a listener
}

func newService(c *config.Config, log *slog.Logger, level *slog.LevelVar) (*service, error) {
	s := &service{config: c, log: log, level: level, failed: make(chan error, 1)}
	var err error
	s.acme = newRenewer(c, log)
	if s.pairs, err = s.findPairs(c); err != nil {
		return nil, cannotKeep(c, err)
	}
	if s.store, err = certs.Open(s.pairs, log); err != nil {
		return nil, err
	}
	s.tls = &tls.Config{GetCertificate: s.store.GetCertificate, MinVersion: tls.VersionTLS12}
	if s.hop, err = nextHop(c, log); err != nil {
		return nil, cannotKeep(c, err)
	}
	if err := durable.MkdirAll(c.Data, 0o700); err != nil {
		return nil, cannotKeep(c, err)
	}
	s.triage = triage.Open(firstRung(c.TicketPolicy), config.LedgerFile(c.Data), ledger.Options{
		MaxAge: c.Ledger.MaxAge, MaxSize: c.Ledger.MaxSize, Log: log,
	})
	s.intake = newIntake(c.Reports, s.triage.Ledger(), log)
	s.server = smtpd.New(s.settings(), s.intake.Hop(s.hop), s.triage, log)
	s.policy = mtastsserve.New(policies(c), new(mtastsserve.Check).Begin, log)
	s.web = newWeb(s)
	return s, nil
}

// firstRung is where new senders begin by the configured policy.
func firstRung(p sessionticket.Policy) fallback.Rung {
	switch p {
	case sessionticket.Stock:
		return fallback.Stock
	case sessionticket.OwnWrite:
		return fallback.OwnWrite
	case sessionticket.Never:
		return fallback.NoTicket
	}
	return fallback.FirstWrite
}

func cannotKeep(c *config.Config, err error) error {
	return &hintedError{err, fmt.Sprintf("let the user that postern runs as write in %s, or give another folder by --data", c.Data)}
}

func (s *service) settings() smtpd.Settings {
	recipients := s.config.Recipients
	if len(recipients) > 0 {
		recipients = slices.Concat(recipients, s.config.Reports.Addresses)
	}
	return smtpd.Settings{
		Hostname:   s.config.Hostname,
		Domains:    s.config.Domains,
		Recipients: recipients,
		TLS:        s.tls,
		Limits:     s.config.Limits,
	}
}

// start begins to take mail. What runs beside it ends with ctx.
func (s *service) start(ctx context.Context, listeners []listener) {
	go s.store.Watch(ctx, watchInterval)
	go s.policy.Run(ctx, s.store.Changes())
	if s.acme != nil {
		go s.renew(ctx)
	}
	switch hop := s.hop.(type) {
	case *maildir.Maildir:
		go hop.Run(ctx)
	case *relay.Hop:
		go askNextHop(ctx, hop, s.log.With(logkey.NextHop, s.config.NextHop.String()))
	}
	for _, ln := range listeners {
		go func() {
			if err := s.serve(ln); err != nil {
				s.failed <- fmt.Errorf("listening on %s: %w", ln.Addr(), err)
			}
		}()
	}
}

// close takes in the reports that wait and saves what was learned of senders.
func (s *service) close() {
	ctx, cancel := context.WithTimeout(context.Background(), intakeTime)
	defer cancel()
	s.intake.Close(ctx)
	if err := s.triage.Close(); err != nil {
		s.log.Warn("not all that was learned of senders is kept", logkey.Err, err)
	}
}

// run waits for signals and returns when the service has stopped. load reads
// the configuration anew.
func (s *service) run(load func() (*config.Config, error), stop, hangup <-chan os.Signal) error {
	notify(s.log, daemon.SdNotifyReady)
	for {
		select {
		case <-s.obtained():
			s.reloadCertificates()
		case <-hangup:
			notify(s.log, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
			s.reload(load)
			notify(s.log, daemon.SdNotifyReady)
		case err := <-s.failed:
			s.drain(stop)
			return err
		case got := <-stop:
			s.log.Info("stopping when each session has finished the message it is in", logkey.Signal, got.String())
			s.drain(stop)
			return nil
		}
	}
}

// drain stops taking mail. Another signal, or drainTime, ends it at once.
func (s *service) drain(stop <-chan os.Signal) {
	notify(s.log, daemon.SdNotifyStopping)
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	var web sync.WaitGroup
	web.Go(func() { s.web.Shutdown(ctx) })
	err := s.server.Shutdown(ctx)
	web.Wait()
	if err != nil {
		s.log.Warn("stopped with sessions cut off, their senders will come again")
		return
	}
	s.log.Info("stopped")
}
