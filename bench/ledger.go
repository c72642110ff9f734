package main

import (
	"fmt"
	"strings"
	"time"

	"postern/internal/testpeer"
)

// measureLedger runs the benchmark of package ledger that asks the commands' questions of n and 4n
// handshakes. A question takes no longer than a person notices, and no more than in proportion.
func measureLedger(_ *testpeer.Scope, p plan, r *result) error {
	r.header("command", "handshakes", "time", "CPU", "handshakes", "time", "CPU", "growth of CPU")
	small := make(map[string]benchmark)
	return p.benchmarks("./internal/ledger", "Growth", func(b benchmark) {
		_, question, _ := strings.Cut(b.name, "/")
		rows, question, asked := strings.Cut(question, "/")
		if !asked {
			return
		}
		question = strings.ReplaceAll(question, "_", " ")
		few, second := small[question]
		if !second {
			b.name = rows
			small[question] = b
			return
		}
		growth := factor(b.values["cpu-ms/query"] / few.values["cpu-ms/query"])
		r.row(question, few.name, few.queryTime(), few.queryCPU(), rows, b.queryTime(), b.queryCPU(), growth)
		atMost(r, fmt.Sprintf("CPU of %s with %s handshakes", question, rows), b.queryCPU(), 200*time.Millisecond)
		if few.queryCPU() > time.Millisecond { // else it is all overhead
			atMost(r, fmt.Sprintf("growth of CPU of %s with four times as many handshakes", question), growth, 4.5)
		}
	}, p.queryFlags()...)
}

func (b benchmark) queryTime() time.Duration { return time.Duration(b.values["ns/op"]) }

func (b benchmark) queryCPU() time.Duration {
	return time.Duration(b.values["cpu-ms/query"] * float64(time.Millisecond))
}

// queryFlags are the flags of go test for benchmarks that fill a ledger.
func (p plan) queryFlags() []string {
	flags := []string{"-benchtime=5x", "-timeout=1h"}
	if p.quick {
		flags = append(flags, "-short")
	}
	return flags
}
