package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"postern/internal/alert"
	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/metrics"
	"postern/internal/nexthop"
	"postern/internal/oserror"
	"postern/internal/probe"
	"postern/internal/smtpd"
)

// Channels returns who is told of alerts. Mail goes to hop.
func Channels(c *config.Config, hop nexthop.Hop) (all []alert.Channel) {
	a := c.Alerts
	if !a.Enabled {
		return nil
	}
	if len(a.Mail) > 0 {
		all = append(all, &alert.Mail{Hop: hop, Host: c.Hostname, From: "postmaster@" + c.Hostname, To: a.Mail})
	}
	if a.Webhook != "" {
		all = append(all, &alert.Webhook{URL: a.Webhook, Secret: a.Secret})
	}
	if len(a.Command) > 0 {
		all = append(all, &alert.Command{Args: a.Command})
	}
	return all
}

// NextHop returns where accepted mail goes.
func NextHop(c *config.Config, log *slog.Logger) (nexthop.Hop, error) {
	return nextHop(c, metrics.New(), log)
}

// An alarm watches what goes wrong, and brings the rules for what only the server knows.
type alarm struct {
	server  *Server
	config  atomic.Pointer[config.Config]
	watcher *alert.Watcher
	hop     hopHealth
	fleet   fleetHealth
	tlsa    tlsaWatch
	dropped int64 // events of the ledger, at the last check

	stop    context.CancelFunc
	running sync.WaitGroup
}

func newAlarm(s *Server) *alarm {
	a := &alarm{server: s, stop: func() {}}
	a.config.Store(s.config)
	a.watcher = alert.New(alert.Settings{
		Host: s.config.Hostname, Ledger: s.observer.ledger, Path: config.LedgerFile(s.config.Data),
		Own: a.conditions, Channels: Channels(s.config, s.hop),
		MaxPerDay: s.config.Alerts.MaxPerDay, Weekly: s.config.Alerts.Weekly, Log: s.log,
	})
	return a
}

// start watches until close.
func (a *alarm) start() {
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	a.running.Go(func() { a.watcher.Run(ctx) })
	a.running.Go(func() { a.tlsa.run(ctx, a) })
}

// close stores what is known. The ledger closes after it.
func (a *alarm) close() {
	a.stop()
	a.running.Wait()
}

// conditions returns what is wrong with the server.
func (a *alarm) conditions(ctx context.Context) []alert.Condition {
	now := time.Now()
	all := expiring(a.server.store.Certificates(), now)
	all = append(all, downgraded(a.server.policy.Downgraded())...)
	all = append(all, a.hop.conditions(ctx, a.server.hop, a.config.Load(), now)...)
	all = append(all, a.tlsa.conditions()...)
	if a.server.fleet != nil {
		all = append(all, a.fleet.conditions(a.server.fleet.Hosts(), now)...)
	}
	if dropped := a.server.observer.ledger.Stats().Dropped; dropped > a.dropped {
		all = append(all, dropping(dropped-a.dropped))
		a.dropped = dropped
	}
	return append(all, bypassed(a.server.smtp.State())...)
}

func bypassed(s smtpd.State) []alert.Condition {
	if !s.GateBypassed {
		return nil
	}
	return []alert.Condition{{
		Kind: alert.GateBypassed, Subject: "gate",
		Text: "This version of Go works differently than the gate expects, so session tickets are sent early: senders that refuse that fail.",
		Next: "Install a build of Postern with a version of Go that it was tested with, and report the version to its developers.",
	}}
}

func dropping(n int64) alert.Condition {
	return alert.Condition{
		Kind: alert.LedgerDrops, Subject: config.LedgerFile("."),
		Text: fmt.Sprintf("The ledger did not store %d of the events of the last minute, so pages, commands and alerts miss them. Mail is not affected.", n),
		Next: "See the log for the reason; the disk may be full or slow.",
	}
}

// expiryAlert is how long before its end a certificate is an alert: ACME clients renew 30 days
// before.
const expiryAlert = 14 * 24 * time.Hour

func expiring(all []*tls.Certificate, now time.Time) (found []alert.Condition) {
	for _, cert := range all {
		leaf := cert.Leaf
		left := leaf.NotAfter.Sub(now)
		if left >= expiryAlert {
			continue
		}
		name, end := certs.NameOf(leaf), leaf.NotAfter.UTC().Format(time.DateOnly)
		text := fmt.Sprintf("The %s certificate of %s expires on %s.", leaf.PublicKeyAlgorithm, name, end)
		if left < 0 {
			text = fmt.Sprintf("The %s certificate of %s expired on %s: senders that verify certificates do not deliver.", leaf.PublicKeyAlgorithm, name, end)
		}
		found = append(found, alert.Condition{
			Kind: alert.CertificateExpires, Subject: fmt.Sprintf("%s (%s)", name, leaf.PublicKeyAlgorithm),
			Since: leaf.NotAfter.Add(-expiryAlert), Text: text, Next: "Renew it. Postern takes the new file by itself.",
		})
	}
	return found
}

// downgraded is one alert for all domains: they have the same hosts.
func downgraded(domains []string, why string) []alert.Condition {
	if len(domains) == 0 {
		return nil
	}
	return []alert.Condition{{
		Kind: alert.MTASTSDowngraded, Subject: "MTA-STS",
		Text: fmt.Sprintf("The MTA-STS policy of %s says enforce in the configuration, and is served as testing: %s.", config.Summary(domains), why),
		Next: "See the warning in the log for the host and the remedy; enforce is served again when the check succeeds.",
	}}
}

const (
	// hopInterval is how often a next hop is asked that has carried no message since.
	hopInterval = 5 * time.Minute

	// hopTime is how long it may take to answer.
	hopTime = 20 * time.Second

	// hopFailures is how often in a row it has to fail: one failure may be a restart.
	hopFailures = 2
)

// hopHealth asks whether the next hop works.
type hopHealth struct {
	asked    time.Time
	failures int
	since    time.Time
}

func (h *hopHealth) conditions(ctx context.Context, hop nexthop.Hop, c *config.Config, now time.Time) []alert.Condition {
	if h.failures == 0 && now.Sub(h.asked) < hopInterval {
		return nil
	}
	h.asked = now
	ctx, cancel := context.WithTimeout(ctx, hopTime)
	defer cancel()
	err := nextHopCheck(hop)(ctx)
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		*h = hopHealth{asked: now}
		return nil
	}
	if h.failures++; h.failures == 1 {
		h.since = now
	}
	if h.failures < hopFailures {
		return nil
	}
	subject, remedy := c.MaildirFolder(), fmt.Sprintf("For %s: %s.", c.MaildirFolder(), config.WriteRemedy(err, c.MaildirFolder()))
	if c.NextHop != nil {
		subject, remedy = c.NextHop.String(), "Start the server, or see its log; senders retry for some days, then mail bounces."
	}
	return []alert.Condition{{
		Kind: alert.NextHopDown, Subject: subject, Since: h.since,
		Text: fmt.Sprintf("The next hop %s does not take mail, so senders are deferred: %s.", subject, oserror.Text(err)), Next: remedy,
	}}
}

const (
	tlsaInterval = time.Hour
	tlsaTime     = 30 * time.Second
)

// A tlsaWatch compares the published TLSA records of the host with the certificates in use.
type tlsaWatch struct {
	mu    sync.Mutex
	found []alert.Condition
}

func (t *tlsaWatch) conditions() []alert.Condition {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.found)
}

func (t *tlsaWatch) run(ctx context.Context, a *alarm) {
	tick := time.NewTicker(tlsaInterval)
	defer tick.Stop()
	for {
		if c := a.config.Load(); c.Reachable() && strings.Contains(c.Hostname, ".") {
			t.check(ctx, c, a.server.store.Certificates())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// check looks the records up. A lookup that fails changes nothing.
func (t *tlsaWatch) check(ctx context.Context, c *config.Config, all []*tls.Certificate) {
	ctx, cancel := context.WithTimeout(ctx, tlsaTime)
	defer cancel()
	name := "_25._tcp." + c.Hostname + "."
	records, secure, err := probe.Lookup(ctx, c.MTASTS.Resolver, name, dns.TypeTLSA)
	if err != nil {
		return
	}
	found := differing(c.Hostname, records, secure, certs.ForName(c.Hostname, all))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.found = found
}

// differing returns which certificates no TLSA record matches. Records that DNSSEC does not secure
// count for no sender (RFC 7672, Section 2.2).
func differing(host string, records []dns.RR, secure bool, presented []*tls.Certificate) (found []alert.Condition) {
	var published []*dns.TLSA
	for _, rr := range records {
		if tlsa, ok := rr.(*dns.TLSA); ok && (tlsa.Usage == 2 || tlsa.Usage == 3) { // RFC 7672, Section 3.1
			published = append(published, tlsa)
		}
	}
	if !secure || len(published) == 0 {
		return nil
	}
	for _, cert := range presented {
		if !slices.ContainsFunc(published, func(r *dns.TLSA) bool { return matches(r, cert) }) {
			found = append(found, alert.Condition{
				Kind: alert.TLSADiffers, Subject: fmt.Sprintf("%s (%s)", host, cert.Leaf.PublicKeyAlgorithm),
				Text: fmt.Sprintf("No TLSA record of _25._tcp.%s matches the %s certificate in use (published: %d): senders that check DANE do not deliver.", host, cert.Leaf.PublicKeyAlgorithm, len(published)),
				Next: "Publish the record that postern dns --check shows, or go back to the certificate of the published one.",
			})
		}
	}
	return found
}

// matches reports whether a record is of the certificate, or with usage 2 of one of its issuers.
func matches(r *dns.TLSA, cert *tls.Certificate) bool {
	if r.Usage == 3 {
		return r.Verify(cert.Leaf) == nil
	}
	for _, der := range cert.Certificate[1:] {
		if issuer, err := x509.ParseCertificate(der); err == nil && r.Verify(issuer) == nil {
			return true
		}
	}
	return false
}
