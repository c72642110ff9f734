package server

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// spareHeap is how much may be allocated between two runs of the garbage collector while
	// little is live. Some 3 MiB are live without sessions, so that Go's default would run it
	// for every 60 handshakes, a twelfth of their cost.
	spareHeap = 32 << 20

	// Bounds of the share of live memory that may be allocated between two runs, in percent.
	// The lower one is less than Go's default of 100, for thousands of idle sessions: the
	// garbage of their handshakes would take as much memory as they do.
	minGCPercent, maxGCPercent = 75, 400

	// gcInterval is how often the share is set.
	gcInterval = time.Second
)

// paceCollector lets the garbage collector run rarely while little memory is live, until ctx
// ends. GOMEMLIMIT is above it: near that limit the runtime collects as often as it must. An
// operator who sets GOGC decides alone.
func paceCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := maxGCPercent
	before := debug.SetGCPercent(percent)
	defer debug.SetGCPercent(before)
	tick := time.NewTicker(gcInterval)
	defer tick.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(live)
		if now := gcPercent(live[0].Value.Uint64()); now != percent {
			percent = now
			debug.SetGCPercent(percent)
		}
	}
}

// gcPercent returns the share for that much live memory, in steps, since each change stops all
// sessions for a moment.
func gcPercent(live uint64) int {
	const step = 25
	percent := 100 * spareHeap / int(max(live, 1))
	return min(max(percent/step*step, minGCPercent), maxGCPercent)
}
