package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/probe"
	"postern/internal/terminal"
)

// After Ctrl-C no server is reported as not answering.
func TestInterruptedProbeSaysNothingAboutServers(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var out, said bytes.Buffer
	p := probeCmd{Targets: []string{"mx.test"}}
	_, _, err := p.once(ctx, terminal.UI{Command: "postern", Out: &out, Err: &said}, func(context.Context, string) (*probe.Report, error) {
		stop()
		return &probe.Report{Findings: []probe.Finding{{ID: "unreachable", Severity: probe.Unclear}}}, nil
	})
	if status := terminal.ExitStatus(0); !errors.As(err, &status) || status != terminal.ExitUnclear {
		t.Errorf("ended with %v, want status %d", err, terminal.ExitUnclear)
	}
	if want := "postern: error: interrupted before all targets were probed\n"; out.Len() > 0 || said.String() != want {
		t.Errorf("said %q and %q, want %q alone", out.String(), said.String(), want)
	}
}

// A day of a server, a probe each hour: findings or an error, and what is printed.
var watchedDay = []struct {
	found []probe.Finding
	err   error
	want  string
}{
	{found: nil, want: ""},
	{found: []probe.Finding{{ID: "expired", Severity: probe.Critical, Title: "The certificate has expired"}}, want: "mx.test: new, critical: 127.0.0.1:25 The certificate has expired"},
	{found: []probe.Finding{{ID: "expired", Severity: probe.Critical, Title: "The certificate has expired"}}, want: ""},
	{err: errors.New("the resolver is silent"), want: "mx.test: new, unclear: the resolver is silent\nmx.test: resolved, critical: 127.0.0.1:25 The certificate has expired"},
	{found: []probe.Finding{{ID: "tls13", Severity: probe.Notice, Title: "TLS 1.3 is not offered"}}, want: "mx.test: resolved, unclear: the resolver is silent"},
}

// written receives lines, one per Write, for another goroutine.
type written chan string

func (w written) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}

func TestWatchPrintsChangesUntilInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		out := make(written, 8)
		hours := 0
		p := probeCmd{Targets: []string{"mx.test"}, Watch: time.Hour}
		done := make(chan struct{})
		start := time.Now()
		go func() {
			defer close(done)
			p.watch(ctx, terminal.UI{Command: "postern", Out: out}, func(context.Context, string) (*probe.Report, error) {
				hours++
				day := watchedDay[hours]
				a := &probe.Address{Addr: netip.MustParseAddrPort("127.0.0.1:25"), Findings: day.found}
				return &probe.Report{Hosts: []*probe.Host{{Addresses: []*probe.Address{a}}}}, day.err
			}, []probe.Problems{{}})
		}()
		for hour := range watchedDay[1:] {
			time.Sleep(time.Hour)
			synctest.Wait()
			var got []string
			for range len(out) {
				line := <-out
				when, what, _ := strings.Cut(strings.TrimSpace(line), "  ")
				if want := start.Add(time.Duration(hour+1) * time.Hour).Format("2006-01-02 15:04:05 MST"); when != want {
					t.Errorf("%q is printed at %s, want %s", what, when, want)
				}
				got = append(got, what)
			}
			if got := strings.Join(got, "\n"); got != watchedDay[hour+1].want {
				t.Errorf("hour %d: %q, want %q", hour+1, got, watchedDay[hour+1].want)
			}
		}
		stop()
		<-done
		if hours != len(watchedDay)-1 {
			t.Errorf("probed %d times", hours)
		}
	})
}

// A probe that was interrupted is no change.
func TestWatchIgnoresInterruptedProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		out := make(written, 8)
		p := probeCmd{Targets: []string{"mx.test"}, Watch: time.Hour}
		p.watch(ctx, terminal.UI{Command: "postern", Out: out}, func(context.Context, string) (*probe.Report, error) {
			stop()
			return nil, context.Canceled
		}, []probe.Problems{{}})
		if len(out) > 0 {
			t.Errorf("%s", <-out)
		}
	})
}

func TestProbeProgressCountsSendersOfAllAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		shown := terminal.StartProgress(&screen)
		p := &probeProgress{shown: shown, addresses: make(map[netip.AddrPort]struct{ done, all int })}
		first, second := netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("[2001:db8::1]:25")
		for _, tt := range []struct {
			addr      netip.AddrPort
			over, all int
			want      string
		}{
			{first, 2, 30, "postern: probing 192.0.2.1:25, 2 of 30 senders done"},
			{second, 1, 10, "postern: probing 2 addresses, 3 of 40 senders done"},
			{first, 1, 30, "postern: probing 2 addresses, 3 of 40 senders done"}, // comes late
		} {
			p.count(tt.addr, tt.over, tt.all)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := screen.String(); !strings.HasSuffix(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		}
		shown.Done()
	})
}
