package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"slices"
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

// series is what one contender did, round by round.
type series []figure

// inTurns lets the contenders run one after another, round by round, so that
// what else the machine does meets all of them.
func (p plan) inTurns(how pattern, contenders ...contender) ([]series, error) {
	all := make([]series, len(contenders))
	for round := range p.rounds {
		for i, c := range contenders {
			f, err := c.measure(how)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", c.name, round+1, err)
			}
			all[i] = append(all[i], f)
			fmt.Fprintf(os.Stderr, "%2d x %2d %-7s %-20s %8.0f/s %8v\n",
				how.senders, how.messages, how.handshake(), c.name, f.rate, f.latency.Round(time.Microsecond))
		}
	}
	return all, nil
}

// rate is the median of the rounds' rates.
func (s series) rate() perSecond {
	return perSecond(median(s, func(i int) float64 { return s[i].rate }))
}

func (s series) answered() perSecond {
	return perSecond(median(s, func(i int) float64 { return s[i].answered }))
}

// latency is the median of the rounds' median latencies.
func (s series) latency() time.Duration {
	return medianTime(s, func(i int) time.Duration { return s[i].latency })
}

// over is the median of the rates' ratios to those of other in the same round.
func (s series) over(other series) factor {
	return factor(median(s, func(i int) float64 { return s[i].rate / other[i].rate }))
}

// cpu is the median of the rounds' CPU times.
func (s series) cpu() time.Duration {
	return medianTime(s, func(i int) time.Duration { return s[i].cpu })
}

// cpuOver is the median of the ratios of CPU times to those of other in the same round.
func (s series) cpuOver(other series) factor {
	return factor(median(s, func(i int) float64 { return s[i].cpu.Seconds() / other[i].cpu.Seconds() }))
}

// added is the median of the latencies beyond those of other in the same round.
func (s series) added(other series) time.Duration {
	return medianTime(s, func(i int) time.Duration { return s[i].latency - other[i].latency })
}

// median is that of of(i) for each i of s.
func median[S ~[]E, E any](s S, of func(i int) float64) float64 {
	values := make([]float64, len(s))
	for i := range s {
		values[i] = of(i)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

func medianTime[S ~[]E, E any](s S, of func(i int) time.Duration) time.Duration {
	return time.Duration(median(s, func(i int) float64 { return float64(of(i)) }))
}
