package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"time"

	"postern/bench/load"
)

// A pattern is a kind of load.
type pattern struct {
	senders, messages int // connections at once, messages of each
	resume            bool
}

// patterns has all patterns, few connections first.
var patterns = []pattern{
	{1, 1, false}, {1, 1, true}, {1, 20, false}, {1, 20, true},
	{20, 1, false}, {20, 1, true}, {20, 20, false}, {20, 20, true},
}

// handshake returns the kind of the pattern's handshakes.
func (p pattern) handshake() string {
	if p.resume {
		return "resumed"
	}
	return "fresh"
}

// A figure is one measurement.
type figure struct {
	rate     float64       // messages a second
	answered float64       // messages acknowledged a second, if that differs
	latency  time.Duration // median of a message
	cpu      time.Duration // of the server's processes for a message; 0: not measured
}

// A contender is a server, or the disk, that is measured in turns with others.
type contender struct {
	name    string
	measure func(pattern) (figure, error)
}

// A checkFunc checks that what a load had acknowledged exists, and prepares for the next one.
type checkFunc func(*load.Tally) error

// server returns the contender for the server at addr. Without a certificate the load has no
// TLS.
func (p plan) server(name, addr string, cert *x509.Certificate, check checkFunc) contender {
	return p.serverUntil(name, addr, cert, check, func() {})
}

// serverUntil is server, with the CPU time until settled returns.
func (p plan) serverUntil(name, addr string, cert *x509.Certificate, check checkFunc, settled func()) contender {
	return contender{name, func(how pattern) (figure, error) {
		var tally *load.Tally
		cpu, err := metered(addr, func() (err error) {
			tally, err = p.load(addr, cert, how).Run()
			settled()
			return err
		})
		if err == nil {
			err = check(tally)
		}
		if err != nil {
			return figure{}, err
		}
		return figure{rate: tally.Rate(), latency: tally.Latency(), cpu: each(cpu, tally.Acknowledged)}, nil
	}}
}

// each returns a total's part.
func each(total time.Duration, count int) time.Duration {
	return total / time.Duration(max(1, count))
}

// load returns the load of a pattern.
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

// unchecked is the checkFunc for servers that keep nothing.
func unchecked(*load.Tally) error { return nil }

// A series has the figures of one contender, by round.
type series []figure

// inTurns measures the contenders one after another in each round, so that other work on the
// machine affects all of them.
func (p plan) inTurns(how pattern, contenders ...contender) ([]series, error) {
	all := make([]series, len(contenders))
	for round := range p.rounds {
		for i, c := range contenders {
			f, err := c.measure(how)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", c.name, round+1, err)
			}
			all[i] = append(all[i], f)
			fmt.Fprintf(os.Stderr, "%2d x %2d %-7s %-20s %8.0f/s %8v %8v CPU\n",
				how.senders, how.messages, how.handshake(), c.name, f.rate,
				f.latency.Round(time.Microsecond), f.cpu.Round(time.Microsecond))
		}
	}
	return all, nil
}

// rate returns the median rate.
func (s series) rate() perSecond {
	return perSecond(median(s, func(i int) float64 { return s[i].rate }))
}

func (s series) answered() perSecond {
	return perSecond(median(s, func(i int) float64 { return s[i].answered }))
}

// latency returns the median of the rounds' median latencies.
func (s series) latency() time.Duration {
	return medianTime(s, func(i int) time.Duration { return s[i].latency })
}

// over returns the median of the rounds' ratios of rates to those of other.
func (s series) over(other series) factor {
	return factor(median(s, func(i int) float64 { return s[i].rate / other[i].rate }))
}

// rateAndCPU returns the median rate with the median CPU time of a message.
func (s series) rateAndCPU() rateAndCPU { return rateAndCPU{s.rate(), s.cpu()} }

// cpu returns the median CPU time of a message.
func (s series) cpu() time.Duration {
	return medianTime(s, func(i int) time.Duration { return s[i].cpu })
}

// cpuOver returns the median of the rounds' ratios of CPU times to those of other.
func (s series) cpuOver(other series) factor {
	return factor(median(s, func(i int) float64 { return ratio(s[i].cpu, other[i].cpu) }))
}

// added returns the median of the rounds' latencies beyond those of other.
func (s series) added(other series) time.Duration {
	return medianTime(s, func(i int) time.Duration { return s[i].latency - other[i].latency })
}

// median returns the median of of(i) for each index i of s.
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
