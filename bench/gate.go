package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// measureGate runs the gate's own benchmarks, which compare it with crypto/tls
// as it is within one process.
func measureGate(s *stage, p plan, r *result) error {
	cmd := exec.Command("go", "test", "-run=^$", "-bench=Handshake|Bulk|Conn",
		fmt.Sprintf("-benchtime=%dx", p.handshakes), "./sessionticket")
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	r.header("benchmark", "crypto/tls", "behind the gate", "slower, median of pairs")
	for line := range strings.Lines(string(output)) {
		if name, ok := strings.CutPrefix(line, "Benchmark"); ok {
			r.compareGate(readBenchmark(name))
		}
	}
	return nil
}

// benchmark is a line of go test -bench: a name and values by unit.
type benchmark struct {
	name   string
	values map[string]float64
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

// compareGate adds what one benchmark found.
func (r *result) compareGate(b benchmark) {
	slower, isRatio := b.values["%slower-paired"]
	if !isRatio {
		if b.name == "Conn/gate" {
			atMost(r, "gate: allocations of a write and a read without a ticket", int64(b.values["allocs/op"]), 0)
		}
		return
	}
	r.row(b.name, time.Duration(b.values["bare-ns"]), time.Duration(b.values["gate-ns"]), percent(slower))
	atMost(r, "gate: slower by, "+b.name, percent(slower), gateGoal(b.name))
}

// gateGoal is how much slower the gate may be.
func gateGoal(name string) percent {
	switch {
	case strings.HasSuffix(name, "/full"):
		return 3
	case strings.HasSuffix(name, "/resumed"):
		return 5
	}
	return 1
}
