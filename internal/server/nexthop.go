package server

import (
	"context"
	"log/slog"
	"time"

	"postern/internal/config"
	"postern/internal/logkey"
	"postern/internal/metrics"
	"postern/internal/nexthop"
	"postern/internal/nexthop/maildir"
	"postern/internal/nexthop/relay"
)

// messageFaultLines is how many lines a minute a fault has that each message can show: enough to see
// all that fails, and what is different the next time.
const messageFaultLines = 20

func nextHop(c *config.Config, m *metrics.Metrics, log *slog.Logger) (nexthop.Hop, error) {
	if c.NextHop != nil {
		to := *c.NextHop
		to.Observe = m.NextHopStep
		return relay.New(to, c.Hostname, log), nil
	}
	folder, err := maildir.New(c.MaildirFolder(), log)
	if err != nil {
		return nil, err
	}
	folder.Observe = m.Stored
	return folder, nil
}

// probeTime is how long the next hop may take to answer EHLO.
const probeTime = 30 * time.Second

// probeNextHop asks the next hop for its SMTP extensions until it answers: the first
// sender must see them already. A sender that does not see SMTPUTF8 bounces its
// message (RFC 6531, Section 3.2) and does not retry.
func probeNextHop(ctx context.Context, hop *relay.Hop, log *slog.Logger) {
	next := time.NewTicker(probeTime)
	defer next.Stop()
	for {
		probe, cancel := context.WithTimeout(ctx, probeTime)
		err := hop.Probe(probe)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("next hop unavailable; deferring mail", logkey.Err, err)
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
	}
}
