// Package server assembles postern serve from its parts and runs it: listeners,
// certificates, the SMTP server, the next hop, the web server.
//
//	srv, err := server.New(config, log, level)
//	listeners, err := server.Listen(config)
//	srv.Start(ctx, listeners)
//	err = srv.Run(load, stop, reload)
//	srv.Close()
package server

import (
	"cmp"
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
	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/metrics"
	"postern/internal/mtastsserve"
	"postern/internal/nexthop"
	"postern/internal/nexthop/maildir"
	"postern/internal/nexthop/relay"
	"postern/internal/probe"
	"postern/internal/probekey"
	"postern/internal/selfcheck"
	"postern/internal/smtpd"
	"postern/internal/tlsrptin"
	"postern/internal/web"
)

const (
	// certificateInterval is how often certificate files are checked for changes.
	certificateInterval = 5 * time.Second

	// drainTime is how long sessions may take to finish on shutdown. Senders
	// retry what is interrupted then. It is less than systemd's 90 seconds.
	drainTime = time.Minute

	// reportDrainTime is how long the reports that the next hop has accepted
	// may take on shutdown.
	reportDrainTime = 5 * time.Second
)

// A Server receives mail. It is made by [New].
type Server struct {
	config    *config.Config
	log       *slog.Logger
	level     *slog.LevelVar
	pairs     []certs.Pair
	acme      *acme.Renewer // nil: ACME is off
	store     *certs.Store
	tls       *tls.Config // one for the server's life: it holds the ticket keys
	hop       nexthop.Hop
	observer  *observer
	probeKey  probekey.Key
	reports   *tlsrptin.Receiver
	smtp      *smtpd.Server
	policy    *mtastsserve.Publisher
	web       *web.Server
	alarm     *alarm
	fleet     *fleet.Fleet // nil: this host is alone
	leave     func()       // the fleet
	checks    *selfcheck.Runner
	local     string           // address of a listener, for checks
	published bool             // checks are of what is in DNS, whoever can reach it
	dashboard *dashboardServer // nil: there is none
	metrics   *metrics.Metrics
	scrapes   *metricsServer // nil: there is none
	failed    chan error     // of a listener
	data      *os.File       // the data folder, locked
}

// New assembles a server. It creates the data folder, the ledger and, where
// none is configured, a self-signed certificate. No other server can use the
// folder until Close. A reload sets level.
func New(c *config.Config, log *slog.Logger, level *slog.LevelVar) (*Server, error) {
	if err := durable.MkdirAll(c.Data, 0o700); err != nil {
		return nil, err
	}
	data, err := lockData(c.Data, log)
	if err != nil {
		return nil, err
	}
	s, err := assemble(c, log, level)
	if err != nil {
		data.Close()
		return nil, err
	}
	s.data = data
	return s, nil
}

func assemble(c *config.Config, log *slog.Logger, level *slog.LevelVar) (*Server, error) {
	s := &Server{config: c, log: log, level: level, metrics: metrics.New(), failed: make(chan error, 1), leave: func() {}}
	var err error
	s.acme = newRenewer(c, log)
	if s.pairs, err = s.findPairs(c); err != nil {
		return nil, err
	}
	if s.store, err = certs.Open(s.pairs, c.Files, log); err != nil {
		return nil, err
	}
	s.tls = &tls.Config{GetCertificate: s.store.GetCertificate, MinVersion: tls.VersionTLS12}
	faults := newFaultLog(log, messageFaultLines)
	if s.hop, err = nextHop(c, s.metrics, faults); err != nil {
		return nil, err
	}
	s.observer = openObserver(c.Mode, config.LedgerFile(c.Data), c.Ledger.Addresses, s.metrics, ledger.Options{
		MaxAge: c.Ledger.MaxAge, MaxSize: c.Ledger.MaxSize, Host: nameInFleet(c), Log: log,
	})
	resolver := probe.Prober{Resolver: cmp.Or(c.Reports.Resolver, c.MTASTS.Resolver)}
	s.observer.names = newNames(resolver.NetResolver(), s.observer.ledger.AddName)
	if s.fleet, err = openFleet(s); err != nil {
		return nil, err
	}
	s.probeKey = openProbeKey(config.ProbeKeyFile(c.Data), log)
	s.reports = newIntake(c.Reports, s.observer.ledger, s.metrics, faults)
	s.smtp = smtpd.New(s.settings(), s.reports.Hop(s.hop), s.observer, log)
	checker := &mtastsserve.Checker{Prober: probe.Prober{Key: s.probeKey}}
	s.policy = mtastsserve.New(s.policies(c), checker.Begin, log)
	s.checks = newSelfChecks(s)
	s.metrics.Collect(s.state)
	scrape := s.metrics.Handler(log)
	s.dashboard = openDashboard(c, scrape, s.checks, log)
	s.web = newWeb(s)
	ready := &readiness{draining: func() bool { return s.smtp.State().Draining }, nextHop: nextHopCheck(s.hop)}
	s.scrapes = openMetrics(c.Metrics, scrape, ready.check, log)
	s.alarm = newAlarm(s)
	return s, nil
}

// settings are the configuration's for the SMTP server.
func (s *Server) settings() smtpd.Settings {
	recipients := s.config.Recipients
	if len(recipients) > 0 {
		recipients = slices.Concat(recipients, s.config.Reports.Addresses)
	}
	return smtpd.Settings{
		Hostname:   s.config.Hostname,
		Domains:    s.config.Domains,
		Recipients: recipients,
		TLS:        s.tls,
		ProbeKey:   s.probeKey,
		Limits:     s.limits(openFiles()),
	}
}

// Certificates returns the certificates in use, in order of preference.
func (s *Server) Certificates() []*tls.Certificate { return s.store.Certificates() }

// Start begins to accept mail on listeners. What runs in the background ends
// with ctx.
func (s *Server) Start(ctx context.Context, listeners []Listener) {
	go paceCollector(ctx)
	go s.observer.names.run(ctx)
	if s.fleet != nil {
		s.leave = s.startFleet(ctx)
	}
	go s.store.Watch(ctx, certificateInterval)
	certificatesChanged := make(chan struct{}, 1)
	go s.noteCertificates(ctx, s.store.Changes(), certificatesChanged)
	go s.policy.Run(ctx, certificatesChanged)
	s.noteVersions()
	if s.acme != nil {
		go s.renew(ctx)
	}
	switch hop := s.hop.(type) {
	case *maildir.Maildir:
		go hop.Run(ctx)
	case *relay.Hop:
		go probeNextHop(ctx, hop, s.log.With(logkey.NextHop, s.config.NextHop.String()))
	}
	s.local = localAddress(listeners)
	s.checks.Apply(s.selfChecks(s.config))
	go s.checks.Run(ctx)
	s.alarm.start()
	go s.dashboard.serve()
	go s.scrapes.serve()
	log := newFaultLog(s.log, 1)
	for _, ln := range listeners {
		ln.Listener = steadyListener{ln.Listener, log}
		go func() {
			if err := s.serve(ln); err != nil {
				s.failed <- fmt.Errorf("listening on %s: %w", ln.Addr(), err)
			}
		}()
	}
}

// Run waits for signals and returns when the server has shut down: after one on
// stop, or when a listener fails. After one on hangup it reloads what load
// returns. Load may take long, or for ever on a disk that does not answer: a
// signal on stop ends the server all the same.
func (s *Server) Run(load func() (*config.Config, error), stop, hangup <-chan os.Signal) error {
	notify(s.log, daemon.SdNotifyReady)
	selfSigned := time.NewTicker(selfSignedInterval)
	defer selfSigned.Stop()
	var loaded chan loadedConfig // while load runs, nil otherwise
	next := hangup               // nil while load runs: the next signal waits in hangup
	for {
		select {
		case <-selfSigned.C:
			s.renewSelfSigned()
		case <-s.obtained():
			s.reloadCertificates()
		case <-next:
			notify(s.log, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
			next, loaded = nil, make(chan loadedConfig, 1)
			go func() {
				c, err := load()
				loaded <- loadedConfig{c, err}
			}()
		case l := <-loaded:
			s.reload(l.config, l.err)
			next, loaded = hangup, nil
			notify(s.log, daemon.SdNotifyReady)
		case err := <-s.failed:
			s.drain(stop)
			return err
		case got := <-stop:
			s.log.Info("draining sessions", logkey.Signal, got.String())
			s.drain(stop)
			return nil
		}
	}
}

// drain stops accepting mail and lets sessions finish their message. Another
// signal, or drainTime, interrupts them.
func (s *Server) drain(stop <-chan os.Signal) {
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
	s.dashboard.drain()
	var web sync.WaitGroup
	web.Go(func() { s.web.Shutdown(ctx) })
	err := s.smtp.Shutdown(ctx)
	web.Wait()
	if err != nil {
		s.log.Warn("stopped; sessions interrupted")
		return
	}
	s.log.Info("stopped")
}

// Close stores pending reports and the sender history, and unlocks the data
// folder. It is called after Run.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), reportDrainTime)
	defer cancel()
	s.dashboard.close()
	s.scrapes.close()
	s.alarm.close()
	s.leave()
	s.reports.Close(ctx)
	if err := s.observer.Close(); err != nil {
		s.log.Warn("cannot save all sender history", logkey.Err, err)
	}
	s.data.Close()
}

// notify sends the server's state to systemd, where it runs under systemd.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify systemd", logkey.Err, err)
	}
}
