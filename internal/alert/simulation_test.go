package alert

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/internal/organization"
)

// A simulated sender makes tries in a rhythm of its own. What fails by chance is retried as
// Postfix does: after 5 minutes, and then after twice as long, up to 4000 seconds.
type simulatedSender struct {
	organization string
	network      netip.Prefix
	interval     time.Duration // between messages, on average
	office       bool          // only on workdays from 8 to 18 h
	regular      bool          // with intervals that are all alike
	chance       float64       // of a failure
	outage       time.Time     // begin of the sender's own next short outage
	incident     *incident     // that it is part of, if any

	next    time.Time
	backoff time.Duration // of the message that waits; 0: none
}

// An incident is a time in which some senders fail.
type incident struct {
	what     string
	from, to time.Time

	first    time.Time // failed try
	tries    int64     // of the sender that the alert is about, until then
	detected time.Time
	ended    time.Time
}

// seeds is how many quarters are simulated: each is another one.
var seeds = flag.Uint64("seeds", 2, "simulate this many quarters")

// Ninety days of 10,000 senders, from one that delivers every half hour to one that
// delivers every two weeks, some of them on bad networks. Five real incidents, at times that
// differ by the seed, are all found within 2 tries or an hour, and chance causes at most one alert
// a week.
func TestIncidentsAreFoundAndChanceIsNot(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := newSimulation(t, seed)
			s.run()
			var report strings.Builder
			fmt.Fprintf(&report, "%d senders, %d tries, %d of them failed by chance\n", len(s.senders), s.tries, s.failed)
			for _, in := range s.incidents {
				if in.detected.IsZero() {
					t.Errorf("%s, from %v: not found", in.what, in.from)
					continue
				}
				took := in.detected.Sub(in.first)
				fmt.Fprintf(&report, "%-60s found after %3.0f minutes, %2d tries; ended %v after it was over\n", in.what, took.Minutes(), in.tries, in.ended.Sub(in.to).Round(time.Minute))
				if in.tries > 2 && took > time.Hour {
					t.Errorf("%s, from %v: found after %v and %d tries", in.what, in.from, took, in.tries)
				}
				if in.ended.IsZero() {
					t.Errorf("%s, from %v: the alert did not end", in.what, in.from)
				}
			}
			weeks := s.end.Sub(s.begin).Hours() / (7 * 24)
			fmt.Fprintf(&report, "false alarms: %d in %.1f weeks\n", s.falseAlarms, weeks)
			if float64(s.falseAlarms) > weeks {
				t.Errorf("%d false alarms in %.1f weeks", s.falseAlarms, weeks)
			}
			t.Log("\n" + report.String())
		})
	}
}

type simulation struct {
	t          *testing.T
	random     *rand.Rand
	begin, end time.Time
	senders    []*simulatedSender
	due        [][]*simulatedSender // by the slot of their next try
	incidents  []*incident
	bySubject  map[string]*incident

	tries, failed int64
	falseAlarms   int
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{
		t: t, random: rand.New(rand.NewPCG(2024, seed)), bySubject: make(map[string]*incident),
		begin: time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC),
	}
	s.end = s.begin.Add(90 * 24 * time.Hour)
	incidentOf := func(what string, long time.Duration) *incident {
		in := &incident{what: what, from: s.begin.Add(time.Duration((35 + 40*s.random.Float64()) * float64(24*time.Hour)))}
		in.to = in.from.Add(long)
		s.incidents = append(s.incidents, in)
		return in
	}
	whole := incidentOf("a large organisation, all 40 networks, as in October 2024", 48*time.Hour)
	part := incidentOf("3 of the 40 networks of another one", 24*time.Hour)
	weekly := incidentOf("a sender that delivers once a week", 12*24*time.Hour)
	unreliable := incidentOf("an hourly sender of which 3 in 100 tries fail anyway", 24*time.Hour)
	small := incidentOf("20 small senders with one product", 4*24*time.Hour)

	for i := range 3 {
		for network := range 40 {
			sender := s.add(fmt.Sprintf("large%d.example", i), 30*time.Minute, 0.002)
			switch {
			case i == 0:
				s.join(whole, sender)
			case i == 1 && network < 3:
				s.join(part, sender)
			}
		}
	}
	for len(s.senders) < 10_000 {
		n := len(s.senders)
		// From two hours to two weeks: each order of magnitude has as many senders.
		interval := time.Duration(float64(2*time.Hour) * math.Pow(168, s.random.Float64()))
		chance := 0.001
		switch kind := s.random.Float64(); {
		case kind < 0.02:
			chance = 0.3
		case kind < 0.15:
			chance = 0.03
		}
		if n == 400 {
			interval, chance = time.Hour, 0.03
		} else if n == 401 {
			interval, chance = 7*24*time.Hour, 0.001
		} else if n >= 500 && n < 520 {
			interval, chance = 8*time.Hour, 0.001
		}
		sender := s.add(fmt.Sprintf("sender%d.example", n), interval, chance)
		switch {
		case n == 400:
			s.join(unreliable, sender)
		case n == 401:
			sender.office, sender.regular = false, true
			s.join(weekly, sender)
		case n >= 500 && n < 520:
			s.join(small, sender)
		}
	}
	s.due = make([][]*simulatedSender, s.end.Sub(s.begin)/slot)
	for _, sender := range s.senders {
		s.plan(sender)
	}
	return s
}

func (s *simulation) add(organization string, interval time.Duration, chance float64) *simulatedSender {
	n := len(s.senders)
	sender := &simulatedSender{
		organization: organization, interval: interval, chance: chance,
		network: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 0}), 24),
		office:  interval > time.Hour && s.random.Float64() < 0.5,
		next:    s.begin.Add(time.Duration(s.random.Float64() * float64(interval))),
	}
	sender.outage = s.begin.Add(s.exponential(30 * 24 * time.Hour))
	s.senders = append(s.senders, sender)
	return sender
}

func (s *simulation) join(in *incident, sender *simulatedSender) {
	sender.incident = in
	s.bySubject[sender.organization] = in
}

func (s *simulation) exponential(mean time.Duration) time.Duration {
	return time.Duration(s.random.ExpFloat64() * float64(mean))
}

// slot is how often the rules are asked.
const slot = 5 * time.Minute

// plan notes when a sender's next try is due.
func (s *simulation) plan(sender *simulatedSender) {
	if at := int(sender.next.Sub(s.begin) / slot); at < len(s.due) {
		s.due[at] = append(s.due[at], sender)
	}
}

// run plays all tries, and asks the rules after each slot.
func (s *simulation) run() {
	rules := newRhythms()
	b := openBook(nil, 0, s.begin)
	for i := range s.due {
		slices.SortFunc(s.due[i], func(a, b *simulatedSender) int { return a.next.Compare(b.next) })
		for n := 0; n < len(s.due[i]); n++ { // a try can be due in the slot of the one before
			sender := s.due[i][n]
			s.try(rules, sender)
			s.plan(sender)
		}
		s.due[i] = nil
		now := s.begin.Add(time.Duration(i+1) * slot)
		rules.expire(now)
		for _, a := range b.update(now, rules.conditions(nil)) {
			s.see(a, rules)
		}
	}
}

// try makes one try of a sender and plans its next one.
func (s *simulation) try(rules *rhythms, sender *simulatedSender) {
	now := sender.next
	s.tries++
	in := sender.incident
	broken := in != nil && !now.Before(in.from) && now.Before(in.to)
	down := !now.Before(sender.outage) && now.Before(sender.outage.Add(20*time.Minute))
	if now.After(sender.outage.Add(20 * time.Minute)) {
		sender.outage = now.Add(s.exponential(30 * 24 * time.Hour))
	}
	t := ledger.Try{At: now, Network: sender.network, Outcome: ledger.Full, Session: "S"}
	if broken || down || s.random.Float64() < sender.chance {
		t.Outcome, t.Case = ledger.Failed, "early-ticket"
		sender.backoff = min(max(2*sender.backoff, 5*time.Minute), 4000*time.Second)
		sender.next = now.Add(sender.backoff)
		if !broken {
			s.failed++
		} else if in.first.IsZero() {
			in.first = now
		}
	} else {
		sender.backoff = 0
		sender.next = now.Add(s.exponential(sender.interval))
		if sender.regular {
			sender.next = now.Add(time.Duration((0.95 + 0.1*s.random.Float64()) * float64(sender.interval)))
		}
		for sender.office && !atWork(sender.next) {
			sender.next = sender.next.Add(time.Hour)
		}
	}
	rules.note(organization.Organization{Domain: sender.organization, By: organization.ReverseDNS}, t)
}

func atWork(t time.Time) bool {
	return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday && t.Hour() >= 8 && t.Hour() < 18
}

// see attributes an alert that began or ended to an incident, or to chance.
func (s *simulation) see(a *ledger.Alert, rules *rhythms) {
	in := s.bySubject[a.Subject]
	switch {
	case in == nil || a.Began.Before(in.from) || a.Ended.IsZero() && a.Began.After(in.to):
		if a.Ended.IsZero() {
			s.falseAlarms++
			s.t.Logf("false alarm: %s", a.Text)
		}
	case !a.Ended.IsZero():
		in.ended = a.Ended
	case in.detected.IsZero():
		in.detected = a.Began
		for of, r := range rules.troubled {
			if of.organization == a.Subject {
				in.tries = max(in.tries, r.Failing.Apart)
			}
		}
	}
}
