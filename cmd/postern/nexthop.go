package main

import (
	"context"
	"log/slog"
	"time"

	"postern/internal/config"
	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/internal/nexthop/maildir"
	"postern/internal/nexthop/relay"
)

func nextHop(c *config.Config, log *slog.Logger) (nexthop.Hop, error) {
	if c.NextHop != nil {
		return relay.New(*c.NextHop, c.Hostname, log), nil
	}
	return maildir.New(c.MaildirFolder(), log)
}

// probeTime is how long the next hop may take to say what it offers.
const probeTime = 30 * time.Second

// askNextHop asks the next hop what it offers, until it has answered: the first
// sender is to be offered it too. One that is not offered SMTPUTF8 gives its
// message up (RFC 6531, Section 3.2) and does not come again.
func askNextHop(ctx context.Context, hop *relay.Hop, log *slog.Logger) {
	next := time.NewTicker(probeTime)
	defer next.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, probeTime)
		err := hop.Probe(asking)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("next hop does not answer yet, senders are told to come again", logkey.Err, err)
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
	}
}
