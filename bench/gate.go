package main

import "strings"

// measureGate runs the gate's own benchmarks.
func measureGate(_ *stage, p plan, r *result) error {
	r.header("benchmark", "crypto/tls", "behind the gate", "slower, median of pairs")
	return p.benchmarks("./sessionticket", "Handshake|Bulk|Conn", func(b benchmark) {
		if slower, ok := r.pair(b, "gate-ns"); ok {
			atMost(r, "gate: slower by, "+b.name, slower, gateGoal(b.name))
		} else if b.name == "Conn/gate" {
			atMost(r, "gate: allocations of a write and a read without a ticket", int64(b.values["allocs/op"]), 0)
		}
	})
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

// measureRecording runs the benchmarks of recorded handshakes.
func measureRecording(_ *stage, p plan, r *result) error {
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
