package main

import (
	"crypto/tls"
	"fmt"
	"time"

	"postern/bench/load"
	"postern/internal/testcert"
)

// exchange is a kind of handshake: the certificate's key, and the group of
// the key exchange.
type exchange struct {
	key   string
	rsa   bool
	group tls.CurveID
}

var exchanges = []exchange{
	{"ECDSA P-256", false, tls.X25519},
	{"ECDSA P-256", false, tls.X25519MLKEM768},
	{"RSA 2048", true, tls.X25519},
	{"RSA 2048", true, tls.X25519MLKEM768},
}

// measureHandshake compares what a resumed handshake costs the server with
// what a full one does.
func measureHandshake(s *stage, p plan, r *result) error {
	r.header("certificate", "group", "session without TLS", "full", "resumed", "resumed to full")
	for _, e := range exchanges {
		all, err := measureExchange(s, p, e)
		if err != nil {
			return err
		}
		ratio := factor(median(all, func(i int) float64 { return all[i].ratio() }))
		r.row(e.key, e.group,
			medianTime(all, func(i int) time.Duration { return all[i].plain }),
			medianTime(all, func(i int) time.Duration { return all[i].full - all[i].plain }),
			medianTime(all, func(i int) time.Duration { return all[i].resumed - all[i].plain }),
			ratio)
		atMost(r, fmt.Sprintf("server CPU of a resumed handshake to a full one, %s, %v", e.key, e.group), ratio, 0.5)
	}
	return nil
}

// costs are what one session without a message takes of the server's CPU:
// without TLS, and with each handshake.
type costs struct{ plain, full, resumed time.Duration }

// ratio is what the resumed handshake costs, to the full one.
func (c costs) ratio() float64 {
	return float64(c.resumed-c.plain) / float64(c.full-c.plain)
}

// measureExchange has the three kinds of session take turns.
func measureExchange(s *stage, p plan, e exchange) ([]costs, error) {
	cert := testcert.New(s, testcert.Options{RSA: e.rsa})
	own := startPostern(s, cert, "maildir")
	plain := load.Load{Addr: own.addr, Senders: 4, Connections: p.handshakes}
	full := plain
	full.Certificate, full.Groups = cert.TLS.Leaf, []tls.CurveID{e.group}
	resumed := full
	resumed.Resume = true
	rounds := make([]costs, p.rounds)
	for i := range rounds {
		c := &rounds[i]
		for cost, l := range map[*time.Duration]load.Load{&c.plain: plain, &c.full: full, &c.resumed: resumed} {
			var err error
			if *cost, err = own.cost(s, l); err != nil {
				return nil, err
			}
		}
	}
	return rounds, nil
}

// cost is the process's CPU time for one connection of the load.
func (p *process) cost(s *stage, l load.Load) (time.Duration, error) {
	before := p.cpu(s)
	tally, err := l.Run()
	if err != nil {
		return 0, err
	}
	return (p.cpu(s) - before) / time.Duration(tally.Connections), nil
}
