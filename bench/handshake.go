package main

import (
	"crypto/tls"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"postern/bench/load"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// An exchange is a kind of handshake: the certificate's key and the key exchange group.
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

// measureHandshake compares the server's CPU time for handshakes with the floor's, and that for
// a resumed one with that for a full one.
func measureHandshake(s *testpeer.Scope, p plan, r *result) error {
	r.header("certificate", "group", "session without TLS", "full", "full, floor", "to floor", "resumed", "resumed, floor", "to floor", "resumed to full")
	for _, e := range exchanges {
		own, least, err := measureExchange(s, p, e)
		if err != nil {
			return err
		}
		full, resumed := overFloor(own, least, costs.ofFull), overFloor(own, least, costs.ofResumed)
		saved := factor(median(own, func(i int) float64 { return ratio(own[i].ofResumed(), own[i].ofFull()) }))
		r.row(e.key, e.group, medianTime(own, func(i int) time.Duration { return own[i].plain }),
			medianCost(own, costs.ofFull), medianCost(least, costs.ofFull), full,
			medianCost(own, costs.ofResumed), medianCost(least, costs.ofResumed), resumed, saved)
		atMost(r, fmt.Sprintf("server CPU of a full handshake to the floor, %s", e), full, 1.1)
		atMost(r, fmt.Sprintf("server CPU of a resumed handshake to the floor, %s", e), resumed, 1.15)
		atMost(r, fmt.Sprintf("server CPU of a resumed handshake to a full one, %s", e), saved, e.saved())
	}
	return nil
}

// String returns the exchange for a goal.
func (e exchange) String() string { return fmt.Sprintf("%s, %v", e.key, e.group) }

// saved returns the target for the CPU time of a resumed handshake relative to a full one. A
// resumed one saves the signature, and never the key exchange: the floor's own ratio is 0.76
// with X25519 and some 0.85 with ML-KEM, as PROFILE.md explains.
func (e exchange) saved() factor {
	switch {
	case e.rsa:
		return 0.5
	case e.group == tls.X25519MLKEM768:
		return 0.9
	}
	return 0.8
}

// costs are the server's CPU times for a session without a message: without TLS, and with each
// kind of handshake.
type costs struct{ plain, full, resumed time.Duration }

func (c costs) ofFull() time.Duration { return c.full - c.plain }

func (c costs) ofResumed() time.Duration { return c.resumed - c.plain }

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func medianCost(all []costs, of func(costs) time.Duration) time.Duration {
	return medianTime(all, func(i int) time.Duration { return of(all[i]) })
}

// overFloor returns the median of the rounds' ratios.
func overFloor(own, least []costs, of func(costs) time.Duration) factor {
	return factor(median(own, func(i int) float64 { return ratio(of(own[i]), of(least[i])) }))
}

// measureExchange measures the three kinds of session with Postern and with the floor in turns.
func measureExchange(s *testpeer.Scope, p plan, e exchange) (own, least []costs, err error) {
	cert := testcert.New(s, testcert.Options{RSA: e.rsa})
	servers := []*process{startPostern(s, cert, "maildir").process, startFloor(s, cert)}
	all := make([][]costs, len(servers))
	for range p.rounds {
		for i, server := range servers {
			c, err := server.costs(p.handshakes, cert, e.group)
			if err != nil {
				return nil, nil, err
			}
			all[i] = append(all[i], c)
		}
	}
	return all[0], all[1], nil
}

// costs measures the three kinds of session with one server.
func (p *process) costs(count int, cert *testcert.Pair, group tls.CurveID) (c costs, err error) {
	plain := load.Load{Addr: p.addr, Senders: 4, Connections: count}
	full := plain
	full.Certificate, full.Groups = cert.TLS.Leaf, []tls.CurveID{group}
	resumed := full
	resumed.Resume = true
	for _, kind := range []struct {
		cost *time.Duration
		load load.Load
	}{{&c.plain, plain}, {&c.full, full}, {&c.resumed, resumed}} {
		if *kind.cost, err = p.cost(kind.load); err != nil {
			return c, err
		}
	}
	return c, nil
}

// cost returns the server's CPU time for one connection of the load.
func (p *process) cost(l load.Load) (time.Duration, error) {
	var tally *load.Tally
	cpu, err := metered(p.addr, func() (err error) {
		tally, err = l.Run()
		return err
	})
	if err != nil {
		return 0, err
	}
	return each(cpu, tally.Connections), nil
}

// measureGate runs the benchmarks of package sessionticket.
func measureGate(_ *testpeer.Scope, p plan, r *result) error {
	r.header("benchmark", "crypto/tls, or first-write", "behind the gate", "slower, median of pairs")
	return p.benchmarks("./sessionticket", "Handshake|OwnWrite|Bulk|Conn", func(b benchmark) {
		if slower, ok := r.pair(b, "gate-ns"); ok {
			atMost(r, "gate: slower by, "+b.name, slower, gateGoal(b.name))
		} else if b.name == "Conn/gate" {
			atMost(r, "gate: allocations of a write and a read without a ticket", int64(b.values["allocs/op"]), 0)
		}
	})
}

// gateGoal returns how much slower the gate may be.
func gateGoal(name string) percent {
	switch {
	case strings.HasSuffix(name, "/full"):
		return 3
	case strings.HasSuffix(name, "/resumed"):
		return 5
	}
	return 1
}

// measureRecording runs the benchmarks of package handshake.
func measureRecording(_ *testpeer.Scope, p plan, r *result) error {
	r.header("benchmark", "crypto/tls", "recorded", "slower, median of pairs")
	return p.benchmarks("./handshake", "Handshake|Conn", func(b benchmark) {
		slower, ok := r.pair(b, "recorded-ns")
		switch {
		case ok && b.name == "Handshake/full":
			atMost(r, "recording: slower by, "+b.name, slower, 3)
		case b.name == "Conn/stopped":
			atMost(r, "recording: allocations of a write and a read when it has stopped", int64(b.values["allocs/op"]), 0)
		}
	})
}

// A benchmark is a line of go test -bench: a name and values by unit.
type benchmark struct {
	name   string
	values map[string]float64
}

// benchmarks runs the benchmarks of a package whose names match, with flags of go test, and calls
// use for each.
func (p plan) benchmarks(pkg, names string, use func(benchmark), flags ...string) error {
	args := append([]string{"test", "-run=^$", "-bench=" + names, fmt.Sprintf("-benchtime=%dx", p.handshakes)}, flags...)
	cmd := exec.Command("go", append(args, pkg)...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	for line := range strings.Lines(string(output)) {
		if name, ok := strings.CutPrefix(line, "Benchmark"); ok {
			use(readBenchmark(name))
		}
	}
	return nil
}

func readBenchmark(line string) benchmark {
	fields := strings.Fields(line)
	name := strings.TrimSuffix(fields[0], fmt.Sprintf("-%d", runtime.GOMAXPROCS(0)))
	b := benchmark{name, make(map[string]float64)}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err == nil {
			b.values[fields[i+1]] = value
		}
	}
	return b
}

// pair adds a benchmark that compares crypto/tls alone with something else, whose time has the
// unit with. It returns how much slower that is; ok is false for other benchmarks.
func (r *result) pair(b benchmark, with string) (slower percent, ok bool) {
	paired, ok := b.values["%slower-paired"]
	if ok {
		r.row(b.name, time.Duration(b.values["bare-ns"]), time.Duration(b.values[with]), percent(paired))
	}
	return percent(paired), ok
}
