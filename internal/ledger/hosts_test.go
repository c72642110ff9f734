package ledger

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// fleetOf opens ledgers of hosts mx1, mx2 and so on.
func fleetOf(t *testing.T, n int) (all []*Ledger) {
	t.Helper()
	for i := range n {
		all = append(all, opened(t, empty(t), Options{Host: fmt.Sprint("mx", i+1)}))
	}
	return all
}

// A sender fails at mx1 and delivers at mx2. Both hosts show both sessions, each with its host, and
// neither lists the sender as failing.
func TestSenderThatFailsAtOneHostAndDeliversAtAnother(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	fleet[0].AddHandshake(failure("A"))
	fleet[1].AddHandshake(with(success("B"), func(h *Handshake) { h.At, h.Delivered = noon.Add(time.Minute), true }))
	for i, l := range fleet {
		other := fleet[1-i]
		if err := l.Take(t.Context(), other.o.Host, 0, waiting(t, other, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range fleet {
		waiting(t, l, 1) // its own is written
		r := reader(t, l.path)
		found, err := r.Handshakes(t.Context(), Filter{})
		if err != nil || len(found) != 2 || found[0].Session+found[0].Host+found[1].Session+found[1].Host != "Bmx2Amx1" {
			t.Errorf("%s shows %+v, %v", l.o.Host, found, err)
		}
		if h, err := r.Handshake(t.Context(), "A"); err != nil || string(h.Transcript) != string(failure("A").Transcript) || h.Case() != "early-ticket" {
			t.Errorf("%s shows A as %+v, %v", l.o.Host, h, err)
		}
		if f := failingSenders(t, r); len(f) > 0 {
			t.Errorf("%s says that it fails: %+v", l.o.Host, f)
		}
		senders, err := r.Senders(t.Context(), Filter{})
		if err != nil || len(senders) != 1 || senders[0].Counts != (Counts{Full: 1, Failed: 1}) || senders[0].Failing != 0 || senders[0].Host != "" {
			t.Errorf("%s has the senders %+v, %v", l.o.Host, senders, err)
		}
		each, err := r.Senders(t.Context(), Filter{ByHost: true, FailingFirst: true})
		if err != nil || len(each) != 2 || each[0].Host+each[1].Host != "mx1mx2" || each[0].Failing != 1 || each[0].Case != "early-ticket" || each[1].Full != 1 {
			t.Errorf("%s has for each host %+v, %v", l.o.Host, each, err)
		}
		hosts, err := r.Hosts(t.Context())
		if err != nil || len(hosts) != 2 || hosts[0] != l.o.Host {
			t.Errorf("%s has rows of %v, %v", l.o.Host, hosts, err)
		}
	}
}

// A sender fails twice in the same millisecond, in two ways. A host that has rows of its own only shows the
// same case as one that took them.
func TestCaseOfFailuresAtTheSameTime(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	fleet[0].AddHandshake(with(failure("Z"), func(h *Handshake) { h.Diagnoses = nil }))
	fleet[0].AddHandshake(failure("A"))
	if err := fleet[1].Take(t.Context(), "mx1", 0, waiting(t, fleet[0], 2)); err != nil {
		t.Fatal(err)
	}
	for _, l := range fleet {
		senders, err := reader(t, l.path).Senders(t.Context(), Filter{})
		if err != nil || len(senders) != 1 || senders[0].Case != Unknown {
			t.Errorf("%s shows %+v, %v", l.o.Host, senders, err)
		}
	}
}

// Mail comes to mx2 and not to mx1. What an operator asks about mx1 is not answered with what mx2 saw.
func TestTrafficOfAHost(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	fleet[0].AddHandshake(failure("A"))
	waiting(t, fleet[0], 1)
	fleet[1].AddHandshake(with(success("B"), func(h *Handshake) { h.Delivered = true }))
	fleet[1].AddRefusal(Refusal{Last: noon, Network: success("").Network, Command: "RCPT", Reply: "450 later", Count: 1})
	if err := fleet[0].Take(t.Context(), "mx2", 0, waiting(t, fleet[1], 2)); err != nil {
		t.Fatal(err)
	}
	all := Traffic{Worked: true, Delivered: true, Refused: 1}
	for host, want := range map[string]Traffic{"": all, "mx1": {}, Here: {}, "mx2": all, "mx9": {}} {
		in := afternoon
		in.Host = host
		if got, err := reader(t, fleet[0].path).Traffic(t.Context(), in); err != nil || got != want {
			t.Errorf("at %q: %+v, %v, want %+v", host, got, err, want)
		}
	}
}

// What counts is whether a sender works at any host after it failed, as the clocks of the hosts say.
func TestFailingAtSeveralHosts(t *testing.T) {
	t.Parallel()
	type tried struct {
		host   string
		minute int
		works  bool
	}
	for name, test := range map[string]struct {
		tries []tried
		want  string // failures since the sender worked at any host, and the minute of the first; then the host of the last, the same, and when it worked
	}{
		"it works elsewhere afterwards":     {[]tried{{"mx1", 1, false}, {"mx2", 2, true}}, "0 []"},
		"it worked elsewhere before":        {[]tried{{"mx2", 1, true}, {"mx1", 2, false}}, "1 2 [mx1 1 2 1]"},
		"which is known late":               {[]tried{{"mx1", 2, false}, {"mx2", 1, true}}, "1 2 [mx1 1 2 1]"},
		"it works elsewhere in between":     {[]tried{{"mx1", 1, false}, {"mx1", 2, false}, {"mx2", 3, true}, {"mx1", 4, false}}, "1 4 [mx1 1 4 3]"},
		"it fails at two":                   {[]tried{{"mx1", 1, false}, {"mx2", 2, false}, {"mx2", 3, false}}, "3 1 [mx2 3 1 -]"},
		"it fails at two in turns":          {[]tried{{"mx1", 1, false}, {"mx2", 2, false}, {"mx1", 3, false}}, "3 1 [mx1 3 1 -]"},
		"it fails at two and works at one":  {[]tried{{"mx1", 1, false}, {"mx2", 2, false}, {"mx2", 3, true}, {"mx1", 4, false}}, "1 4 [mx1 1 4 3]"},
		"the clock here is behind what was": {[]tried{{"mx1", 5, true}, {"mx1", 1, false}}, "1 1 [mx1 1 1 5]"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t, retention{})
			for i, try := range test.tries {
				h := success(fmt.Sprint(i))
				if !try.works {
					h = failure(fmt.Sprint(i))
				}
				k.writeAt(strings.TrimPrefix(try.host, "mx1"), []event{at(try.minute, h)})
			}
			if err := k.register("mx1"); err != nil {
				t.Fatal(err)
			}
			minute := func(at time.Time) string {
				if at.IsZero() {
					return "-"
				}
				return fmt.Sprint(int(at.Sub(noon).Minutes()))
			}
			r := reader(t, k.path)
			senders, err := r.Senders(t.Context(), Filter{})
			if err != nil || len(senders) != 1 {
				t.Fatalf("senders %+v, %v", senders, err)
			}
			got := fmt.Sprint(senders[0].Failing, " ", strings.TrimPrefix(minute(senders[0].FailingSince), "-"))
			var each []string
			for _, f := range failingSenders(t, r) {
				each = append(each, fmt.Sprint(f.Host, " ", f.Failed, " ", minute(f.Since), " ", minute(f.Worked)))
			}
			slices.Sort(each)
			if got = strings.TrimSpace(got) + " [" + strings.Join(each, ", ") + "]"; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// A failed handshake at mx1, then mail in plaintext at mx2, which has heard of it: it is a
// consequence at both, and at mx3, which hears of the mail first.
func TestPlaintextAfterAFailureAtAnotherHost(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 3)
	fleet[0].AddHandshake(failure("A"))
	if err := fleet[1].Take(t.Context(), "mx1", 0, waiting(t, fleet[0], 1)); err != nil {
		t.Fatal(err)
	}
	fleet[1].AddHandshake(with(success("B"), func(h *Handshake) {
		h.At, h.Outcome, h.Fingerprint, h.Version, h.Suite, h.Group = noon.Add(time.Minute), Plaintext, "", 0, 0, 0
	}))
	for _, l := range []*Ledger{fleet[0], fleet[2]} {
		if err := l.Take(t.Context(), "mx2", 0, waiting(t, fleet[1], 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := fleet[2].Take(t.Context(), "mx1", 0, waiting(t, fleet[0], 1)); err != nil { // the other way round
		t.Fatal(err)
	}
	for _, l := range fleet {
		found, err := reader(t, l.path).Handshakes(t.Context(), Filter{Returned: true})
		if err != nil || len(found) != 1 || found[0].After != "A" || found[0].Address != netip.MustParseAddr("192.0.2.7") {
			t.Errorf("at %s: %+v, %v", l.o.Host, found, err)
		}
	}
}
