package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// lookedAt is when hosts are judged in tests.
var lookedAt = epoch.Add(time.Hour)

// seen is a host that shares, as one whose clock is right sees it.
func seen(name string, change func(*Host)) Host {
	h := Host{Name: name, Version: "v1.2.0", Started: epoch, KeySince: epoch, Said: lookedAt.Add(-9 * time.Second), Seen: lookedAt.Add(-9 * time.Second)}
	h.Published, h.Taken = h.Said, h.Said
	change(&h)
	return h
}

func fine(*Host) {}

// behind is a host that has not taken what others saw.
func behind(by time.Duration) func(*Host) { return func(h *Host) { h.Taken = h.Said.Add(-by) } }

func self(h *Host) {
	h.Self, h.Said, h.Seen = true, lookedAt, lookedAt
}

// ahead sets a host's clock forward.
func ahead(by time.Duration) func(*Host) { return func(h *Host) { h.Said = h.Said.Add(by) } }

func silentFor(d time.Duration) func(*Host) {
	return func(h *Host) { h.Said, h.Seen = lookedAt.Add(-d), lookedAt.Add(-d) }
}

func TestEachFailureOfAHostIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		hosts []Host
		want  []Health
		text  string // about the first host that needs the operator
	}{
		"all share": {
			[]Host{seen("mx1", self), seen("mx2", fine), seen("mx3", ahead(4*time.Second))},
			[]Health{Shares, Shares, Shares}, "",
		},
		"one has crashed": {
			[]Host{seen("mx1", self), seen("mx2", silentFor(2*time.Minute))},
			[]Health{Shares, Missing}, "mx2 says nothing since 2026-11-24 09:58 UTC",
		},
		"one was stopped, long ago": {
			[]Host{seen("mx1", self), seen("mx2", func(h *Host) { silentFor(10 * time.Hour)(h); h.Stopped = true })},
			[]Health{Shares, Stopped}, "",
		},
		"the one that looks cannot reach NATS": {
			[]Host{seen("mx1", func(h *Host) { self(h); h.Problem = "connection: refused" }), seen("mx2", silentFor(2*time.Minute))},
			[]Health{Alone, Unknown}, "mx1 goes on alone: connection: refused.",
		},
		"the one that looks has just lost NATS": {
			[]Host{seen("mx1", func(h *Host) { self(h); h.Problem = "connection: refused" }), seen("mx2", fine)},
			[]Health{Alone, Unknown}, "mx1 goes on alone",
		},
		"one has another secret, as the others see it": {
			[]Host{seen("mx1", self), {Name: "mx2", Seen: lookedAt, Unreadable: errSecret.Error()}},
			[]Health{Shares, OtherSecret}, "What mx2 says of itself was not written with this secret-file.",
		},
		"one has another secret, as it sees it": {
			[]Host{{Name: "mx1", Seen: lookedAt, Unreadable: errSecret.Error()}, seen("mx2", func(h *Host) { self(h); h.Problem = "ticket keys: the stored ring " + errSecret.Error() })},
			[]Health{OtherSecret, Alone}, "What mx1 says of itself",
		},
		"one has a newer version": {
			[]Host{seen("mx1", self), {Name: "mx2", Seen: lookedAt, Unreadable: errNewer.Error()}},
			[]Health{Shares, NewerVersion}, "What mx2 says of itself was written by a newer version of Postern.",
		},
		"another one shares in part": {
			[]Host{seen("mx1", self), seen("mx2", func(h *Host) { h.Problem = "pins: nats: maximum bytes exceeded" })},
			[]Health{Shares, Alone}, "mx2 goes on alone: pins: nats: maximum bytes exceeded.",
		},
		"the disk of another one is full": {
			[]Host{seen("mx1", self), seen("mx2", func(h *Host) { h.Problem, h.Remedy = "pins: the disk is full", "free space, see df" })},
			[]Health{Shares, Alone}, "mx2 goes on alone: pins: the disk is full. At mx2 free space, see df.",
		},
		"the clock of another one differs": {
			[]Host{seen("mx1", self), seen("mx2", ahead(3*time.Minute)), seen("mx3", fine)},
			[]Health{Shares, ClockDiffers, Shares}, "The clock of mx2 is 3m0s ahead of most others.",
		},
		"the clock of the one that looks differs": {
			[]Host{seen("mx1", self), seen("mx2", ahead(3*time.Minute)), seen("mx3", ahead(3*time.Minute))},
			[]Health{ClockDiffers, Shares, Shares}, "The clock of mx1 is 3m0s behind most others.",
		},
		"one has been slow for a moment": {
			[]Host{seen("mx1", self), seen("mx2", behind(4*time.Minute))}, []Health{Shares, Shares}, "",
		},
		"one is behind": {
			[]Host{seen("mx1", self), seen("mx2", behind(20*time.Minute))},
			[]Health{Shares, Behind}, "For 20 minutes the pages of mx2 lack what others saw",
		},
		"one has taken nothing yet, since its start": {
			[]Host{seen("mx1", self), seen("mx2", func(h *Host) { h.Started, h.Taken = h.Said.Add(-time.Minute), time.Time{} })},
			[]Health{Shares, Shares}, "",
		},
		"one of two clocks differs": {
			[]Host{seen("mx1", ahead(-3*time.Minute)), seen("mx2", self)},
			[]Health{ClockDiffers, Shares}, "The clock of mx1 is 3m0s behind most others.",
		},
		"the server here does not run": {
			[]Host{seen("mx1", func(h *Host) { self(h); silentFor(time.Hour)(h) }), seen("mx2", silentFor(time.Hour))},
			[]Health{Unknown, Unknown}, "",
		},
	} {
		members := Judge(test.hosts, lookedAt)
		var got []Health
		var text, next string
		for _, m := range members {
			got = append(got, m.Health)
			if m.Health.Trouble() && text == "" {
				text, next = m.Text(), m.Next()
			}
		}
		if !slices.Equal(got, test.want) || !strings.HasPrefix(text+" "+next, test.text) || (test.text == "") != (next == "") {
			t.Errorf("%s: %v, %q, next %q; want %v, %q", name, got, text, next, test.want, test.text)
		}
	}
}

func TestSummaryCountsHosts(t *testing.T) {
	hosts := []Host{seen("mx1", self), seen("mx2", fine)}
	if got := Summary(Judge(hosts, lookedAt)); got != "All hosts of the fleet share: 2." {
		t.Error(got)
	}
	hosts = append(hosts, seen("mx3", silentFor(time.Hour)), seen("mx4", func(h *Host) { h.Stopped = true }))
	if got := Summary(Judge(hosts, lookedAt)); got != "2 of 4 hosts of the fleet share; stopped: 1." {
		t.Error(got)
	}
}

func TestAgesHaveOneUnit(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Minute: "0 minutes", 0: "0 minutes", time.Minute: "1 minute", 2*time.Minute - 1: "1 minute", 2 * time.Minute: "2 minutes",
		2*time.Hour - 1: "119 minutes", 2 * time.Hour: "2 hours", 48*time.Hour - 1: "47 hours", 48 * time.Hour: "2 days", 72*time.Hour - 1: "2 days",
	} {
		if got := Age(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
