package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"postern/internal/fleet"
)

// Of a host that is missing one of the others says so, once it has been for five minutes. A host that
// shares nothing says so itself.
func TestOneHostAlertsOfEachThatIsMissing(t *testing.T) {
	begin := time.Now()
	// as is what the host with a name knows after some minutes, in which mx3 says nothing.
	as := func(name string, minutes int, problem string) []fleet.Host {
		now := begin.Add(time.Duration(minutes) * time.Minute)
		var hosts []fleet.Host
		for _, other := range []string{"mx1", "mx2", "mx3"} {
			h := fleet.Host{Name: other, Said: now, Seen: now, Self: other == name}
			switch {
			case h.Self:
				h.Problem = problem
			case other == "mx3":
				h.Said, h.Seen = begin, begin
			}
			hosts = append(hosts, h)
		}
		return hosts
	}
	for _, test := range []struct {
		host, problem string
		want          []string // by minutes
	}{
		{"mx1", "", []string{"5 host-missing mx3", "6 host-missing mx3"}},
		{"mx2", "", nil},
		{"mx1", "connection: refused", []string{"5 host-alone mx1", "6 host-alone mx1"}},
		{"mx2", "connection: refused", []string{"5 host-alone mx2", "6 host-alone mx2"}},
	} {
		var health fleetHealth
		var got []string
		for minutes := range 7 {
			for _, c := range health.conditions(as(test.host, minutes, test.problem), begin.Add(time.Duration(minutes)*time.Minute)) {
				got = append(got, fmt.Sprint(minutes, " ", c.Kind, " ", c.Subject))
				if !c.Since.Equal(begin) || c.Text == "" || c.Next == "" {
					t.Errorf("%s: %+v", test.host, c)
				}
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s with problem %q: %q, want %q", test.host, test.problem, got, test.want)
		}
	}

	var health fleetHealth
	health.conditions(as("mx1", 0, "connection: refused"), begin)
	health.conditions(as("mx1", 1, ""), begin.Add(time.Minute)) // NATS is back
	if found := health.conditions(as("mx1", 6, "connection: refused"), begin.Add(6*time.Minute)); len(found) > 0 {
		t.Errorf("a host that shared meanwhile: %+v", found)
	}
}
