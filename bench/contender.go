package main

import (
	"crypto/x509"
	"time"

	"postern/bench/load"
)

// pattern is a kind of load.
type pattern struct {
	senders, messages int // connections at once, messages of each
	resume            bool
}

// patterns are all that is measured, few connections first.
var patterns = []pattern{
	{1, 1, false}, {1, 1, true}, {1, 20, false}, {1, 20, true},
	{20, 1, false}, {20, 1, true}, {20, 20, false}, {20, 20, true},
}

// handshake is what the pattern's connections begin with.
func (p pattern) handshake() string {
	if p.resume {
		return "resumed"
	}
	return "fresh"
}

// figure is one measurement.
type figure struct {
	rate     float64       // messages a second
	answered float64       // the same for messages acknowledged, where some are still on their way then
	latency  time.Duration // median of a message
	cpu      time.Duration // of the server for a message, where it is measured
}

// contender is one of those that are measured in turns.
type contender struct {
	name    string
	measure func(pattern) (figure, error)
}

// checkFunc checks that what a load had acknowledged exists, and makes ready
// for the next.
type checkFunc func(*load.Tally) error

// server makes a contender of the server at addr. A nil certificate does
// without TLS.
func (p plan) server(name, addr string, cert *x509.Certificate, check checkFunc) contender {
	return contender{name, func(how pattern) (figure, error) {
		tally, err := p.load(addr, cert, how).Run()
		if err == nil {
			err = check(tally)
		}
		return figure{rate: tally.Rate(), latency: tally.Latency()}, err
	}}
}

// load is the load of a pattern.
func (p plan) load(addr string, cert *x509.Certificate, how pattern) load.Load {
	return load.Load{
		Addr:        addr,
		Certificate: cert,
		Senders:     how.senders,
		Messages:    how.messages,
		Resume:      how.resume,
		Warm:        p.warm,
		Time:        p.time,
	}
}

// unchecked is for servers that keep nothing.
func unchecked(*load.Tally) error { return nil }
