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

// measureHandshake compares the server's CPU time for a resumed handshake with that for a full
// one.
func measureHandshake(s *testpeer.Scope, p plan, r *result) error {
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

// costs are the server's CPU times for a session without a message: without TLS, and with each
// handshake.
type costs struct{ plain, full, resumed time.Duration }

// ratio returns the cost of a resumed handshake relative to a full one.
func (c costs) ratio() float64 {
	return float64(c.resumed-c.plain) / float64(c.full-c.plain)
}

// measureExchange measures the three kinds of session in turns.
func measureExchange(s *testpeer.Scope, p plan, e exchange) ([]costs, error) {
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

// cost returns the process's CPU time for one connection of the load.
func (p *process) cost(s *testpeer.Scope, l load.Load) (time.Duration, error) {
	before := p.cpu(s)
	tally, err := l.Run()
	if err != nil {
		return 0, err
	}
	return (p.cpu(s) - before) / time.Duration(tally.Connections), nil
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

// benchmarks runs the benchmarks of a package whose names match, and calls use for each.
func (p plan) benchmarks(pkg, names string, use func(benchmark)) error {
	cmd := exec.Command("go", "test", "-run=^$", "-bench="+names, fmt.Sprintf("-benchtime=%dx", p.handshakes), pkg)
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
