package main

import (
	"bytes"
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

// Whoever presses Ctrl-C in the middle is told of no server that does not answer: it
// was not waited for.
func TestProbeThatIsStoppedTellsNothingOfServers(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var out, said bytes.Buffer
	p := probing{Targets: []string{"mx.test"}}
	_, _, err := p.once(ctx, terminal{out: &out, err: &said}, func(context.Context, string) (*probe.Report, error) {
		stop()
		return &probe.Report{Findings: []probe.Finding{{ID: "unreachable", Severity: probe.Unclear}}}, nil
	})
	if status := exitStatus(0); !errors.As(err, &status) || status != exitUnclear {
		t.Errorf("ended with %v, want status %d", err, exitUnclear)
	}
	if want := "postern: error: stopped before all was examined\n"; out.Len() > 0 || said.String() != want {
		t.Errorf("said %q and %q, want %q alone", out.String(), said.String(), want)
	}
}

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

func TestProgressOfAProbeCountsTheVisitsOfAllAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		shown := beginProgress(&screen)
		p := &probeProgress{told: shown, addresses: make(map[netip.AddrPort]struct{ over, all int })}
		first, second := netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("[2001:db8::1]:25")
		for _, tt := range []struct {
			addr      netip.AddrPort
			over, all int
			want      string
		}{
			{first, 2, 30, "postern: probing 192.0.2.1:25, 2 of 30 visits are over"},
			{second, 1, 10, "postern: probing 2 addresses, 3 of 40 visits are over"},
			{first, 1, 30, "postern: probing 2 addresses, 3 of 40 visits are over"}, // comes late
		} {
			p.visited(tt.addr, tt.over, tt.all)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := screen.String(); !strings.HasSuffix(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		}
		shown.Done()
	})
}
