package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/probe"
)

func TestWatchTellsChangesOnly(t *testing.T) {
	before := map[string]string{"a": "warning: A", "b": "critical: B", "c": "unclear: C"}
	now := map[string]string{"a": "warning: A", "b": "warning: B", "d": "critical: D"}
	want := []string{"new, warning: B", "new, critical: D", "gone, unclear: C"}
	if got := changes(before, now); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := changes(now, now); got != nil {
		t.Errorf("%q of nothing", got)
	}
}

// A day of a server, an hour a line: what a probe finds, and what is told of it.
var watchedDay = []struct {
	found []probe.Finding
	err   error
	told  string
}{
	{found: nil, told: ""},
	{found: []probe.Finding{{ID: "expired", Severity: probe.Critical, Title: "The certificate has expired"}}, told: "mx.test: new, critical: 127.0.0.1:25 The certificate has expired"},
	{found: []probe.Finding{{ID: "expired", Severity: probe.Critical, Title: "The certificate has expired"}}, told: ""},
	{err: errors.New("the resolver is silent"), told: "mx.test: new, unclear: the resolver is silent\nmx.test: gone, critical: 127.0.0.1:25 The certificate has expired"},
	{found: []probe.Finding{{ID: "tls13", Severity: probe.Notice, Title: "TLS 1.3 is not offered"}}, told: "mx.test: gone, unclear: the resolver is silent"},
}

// written takes lines, one a Write, to be read in another goroutine.
type written chan string

func (w written) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}

func TestWatchGoesOnUntilItIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		out := make(written, 8)
		hours := 0
		p := probing{Targets: []string{"mx.test"}, Watch: time.Hour}
		done := make(chan struct{})
		start := time.Now()
		go func() {
			defer close(done)
			p.repeat(ctx, terminal{out: out}, func(context.Context, string) (*probe.Report, error) {
				hours++
				day := watchedDay[hours]
				a := &probe.Address{Addr: netip.MustParseAddrPort("127.0.0.1:25"), Findings: day.found}
				return &probe.Report{Hosts: []*probe.Host{{Addresses: []*probe.Address{a}}}}, day.err
			}, []map[string]string{{}})
		}()
		for hour := range watchedDay[1:] {
			time.Sleep(time.Hour)
			synctest.Wait()
			var told []string
			for range len(out) {
				line := <-out
				when, what, _ := strings.Cut(strings.TrimSpace(line), "  ")
				if want := start.Add(time.Duration(hour+1) * time.Hour).Format(time.DateTime); when != want {
					t.Errorf("%q is told at %s, want %s", what, when, want)
				}
				told = append(told, what)
			}
			if got := strings.Join(told, "\n"); got != watchedDay[hour+1].told {
				t.Errorf("hour %d: %q, want %q", hour+1, got, watchedDay[hour+1].told)
			}
		}
		stop()
		<-done
		if hours != len(watchedDay)-1 {
			t.Errorf("probed %d times", hours)
		}
	})
}

// What was cut off by the end is no change.
func TestWatchTellsNothingOfWhatItsEndCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		out := make(written, 8)
		p := probing{Targets: []string{"mx.test"}, Watch: time.Hour}
		p.repeat(ctx, terminal{out: out}, func(context.Context, string) (*probe.Report, error) {
			stop()
			return nil, context.Canceled
		}, []map[string]string{{}})
		if len(out) > 0 {
			t.Errorf("%s", <-out)
		}
	})
}
