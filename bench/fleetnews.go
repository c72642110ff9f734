package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/testpeer"
	"postern/sessionticket"
)

// measureFleetNews measures how soon another host knows what one has learned: with a settled leader, and
// when the leader is lost.
func measureFleetNews(s *testpeer.Scope, p plan, r *result) error {
	servers := testpeer.StartNATS(s, 3)
	pair, err := startFleetPair(s, natsURLs(servers))
	if err != nil {
		return err
	}
	known, err := pair.untilKnown(p.handshakes / 2)
	if err != nil {
		return err
	}
	half, most := known[len(known)/2], known[len(known)*99/100]
	r.row("until another host knows, median and 99th percentile", "–", halfAndMost(half, most))
	atMost(r, "until another host knows, 99th percentile", most, time.Second)

	var outages, recoveries []time.Duration
	for range 2 * p.rounds {
		outage, recovery, err := pair.loseLeader(servers)
		if err != nil {
			return err
		}
		outages, recoveries = append(outages, outage), append(recoveries, recovery)
	}
	slices.Sort(outages)
	slices.Sort(recoveries)
	middle, last := len(outages)/2, len(outages)-1
	r.row("NATS without a leader after that is killed, median and longest", "–", halfAndMost(outages[middle], outages[last]))
	r.row("until another host knows what one learns meanwhile, median and longest", "–", halfAndMost(recoveries[middle], recoveries[last]))
	return nil
}

// halfAndMost are two times that take milliseconds or seconds.
func halfAndMost(half, most time.Duration) string {
	return fmt.Sprintf("%v, %v", half.Round(time.Millisecond), most.Round(time.Millisecond))
}

// A fleetPair are two hosts of a fleet, without mail.
type fleetPair struct {
	servers   []string
	selectors [2]*fallback.Selector
	fleets    [2]*fleet.Fleet
	decided   chan netip.Prefix // networks of which the second host learns from the first
	failures  int               // so far, each of another sender
}

const pairPrefix = "bench"

// startFleetPair starts two hosts, and waits until they share.
func startFleetPair(s *testpeer.Scope, servers []string) (*fleetPair, error) {
	pair := &fleetPair{servers: servers, decided: make(chan netip.Prefix, 10_000)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	dir := s.TempDir()
	for i := range pair.selectors {
		name := fmt.Sprintf("host%d", i)
		pair.selectors[i] = fallback.New(sessionticket.Stock)
		pair.selectors[i].Share(name)
		book := ledger.Open(filepath.Join(dir, name+".db"), ledger.Options{Host: name})
		s.Cleanup(func() { book.Close() })
		f, err := fleet.New(fleet.Settings{
			Access: fleet.Access{Servers: servers, Name: name, Prefix: pairPrefix, Secret: []byte(fleetSecret)}, File: filepath.Join(dir, name),
			UseKeys: func([][32]byte) {}, Selector: pair.selectors[i],
			Decided: func(all []fallback.Decision) {
				for _, d := range all {
					pair.decided <- d.Network
				}
			},
			ShowHosts: func([]fleet.Host) {},
			Events:    book,
			Pins:      book,
			Now:       time.Now, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			cancel()
			return nil, err
		}
		pair.fleets[i] = f
		running.Go(func() { f.Run(ctx) })
	}
	s.Cleanup(func() { cancel(); running.Wait() })
	return pair, await(pair.shares)
}

// shares returns an error if a host does not share.
func (p *fleetPair) shares() error {
	for _, f := range p.fleets {
		if problem := f.Status().Problem; problem != "" {
			return errors.New(problem)
		}
	}
	return nil
}

// fail makes another sender fail at the first host, and returns its network.
func (p *fleetPair) fail() netip.Prefix {
	p.failures++
	addr := netip.AddrFrom4([4]byte{10, byte(p.failures >> 8), byte(p.failures), 1})
	p.selectors[0].Learn(fallback.Sender{Addr: addr, Fingerprint: "strict"}, sessionticket.Stock, handshake.ClosedAfterFlight, time.Now())
	return netip.PrefixFrom(addr, 24).Masked()
}

// awaitKnown waits until the second host knows of a sender's network.
func (p *fleetPair) awaitKnown(network netip.Prefix) error {
	end := time.After(time.Minute)
	for {
		select {
		case known := <-p.decided:
			if known == network {
				return nil
			}
		case <-end:
			return fmt.Errorf("the other host knows nothing of %v for a minute", network)
		}
	}
}

// untilKnown returns, in order, how long it takes until the second host knows of failures at the first
// one, one after the other.
func (p *fleetPair) untilKnown(failures int) ([]time.Duration, error) {
	var took []time.Duration
	for range failures {
		began := time.Now()
		if err := p.awaitKnown(p.fail()); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took, nil
}

// loseLeader kills the server that leads the history of senders, and starts it when others go on. It
// returns how long there was no leader, and how long it took until the second host knew what the first
// one learned at once.
func (p *fleetPair) loseLeader(servers []*testpeer.NATS) (outage, recovery time.Duration, err error) {
	if err := await(p.shares); err != nil {
		return 0, 0, err
	}
	leader, err := p.leader("")
	if err != nil {
		return 0, 0, err
	}
	server := servers[slices.IndexFunc(servers, func(s *testpeer.NATS) bool { return s.Name == leader })]
	server.Kill()
	defer server.Start()
	began := time.Now()
	elected := make(chan error, 1)
	go func() {
		elected <- await(func() error { _, err := p.leader(leader); return err })
		outage = time.Since(began)
	}()
	err = p.awaitKnown(p.fail())
	recovery = time.Since(began)
	return outage, recovery, errors.Join(err, <-elected)
}

// leader returns the server that leads the history of senders, another one than the one that was lost.
func (p *fleetPair) leader(lost string) (string, error) {
	const patience = 500 * time.Millisecond
	for _, url := range p.servers {
		conn, err := nats.Connect(url, nats.Timeout(patience))
		if err != nil {
			continue // the one that is lost
		}
		defer conn.Close()
		js, err := jetstream.New(conn)
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		stream, err := js.Stream(ctx, "KV_"+pairPrefix+"-senders")
		if err != nil {
			return "", err
		}
		if now := stream.CachedInfo().Cluster.Leader; now != "" && now != lost {
			return now, nil
		}
	}
	return "", errors.New("there is no leader")
}
