package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"postern/internal/safetext"
)

// A Health is how a host of the fleet does.
type Health string

// The healths.
const (
	Shares       Health = "shares"        // what it learns, all have
	Unknown      Health = "unknown"       // the host that looks does not share itself
	Stopped      Health = "stopped"       // by its operator
	ClockDiffers Health = "clock-differs" // from those of the others
	Behind       Health = "behind"        // with what hosts saw
	Alone        Health = "alone"         // it runs, and does not share
	OtherSecret  Health = "other-secret"  // it cannot be read
	NewerVersion Health = "newer-version" // the same
	Missing      Health = "missing"       // it does not run, or cannot reach NATS
)

// Words are the health as it follows a host's name: "is missing".
func (h Health) Words() string {
	return map[Health]string{
		Shares: "shares", Unknown: "is not known", Stopped: "has stopped", ClockDiffers: "has another time", Behind: "is behind",
		Alone: "does not share", OtherSecret: "has another secret", NewerVersion: "has a newer version", Missing: "is missing",
	}[h]
}

// Trouble reports whether an operator has to look after the host.
func (h Health) Trouble() bool { return h != Shares && h != Unknown && h != Stopped }

// Sharing reports whether the host takes part.
func (h Health) Sharing() bool { return h == Shares || h == ClockDiffers || h == Behind }

const (
	// missingAfter is how long after it last said something a host is missing: four times it
	// did not, and NATS has had the time to elect a leader.
	missingAfter = time.Minute

	// maxLag is how long a host may be behind: it notes every half minute that it is not.
	maxLag = 5 * time.Minute

	// clockTolerance is how far a clock may differ from most others. What a host says takes up to
	// five seconds.
	clockTolerance = 10 * time.Second
)

// A Member is a host and how it does.
type Member struct {
	Host
	Health Health
	Offset time.Duration // of its clock from those of most hosts, if that is too much
}

// Judge says how hosts do, as [Fleet.Hosts] returned them a moment before now.
func Judge(hosts []Host, now time.Time) []Member {
	var blind bool // the host that looks cannot know of others
	var clocks []time.Duration
	for _, h := range hosts {
		if h.Self {
			blind = h.Problem != "" || h.silent(now)
		}
		if h.Unreadable == "" && !h.silent(now) {
			clocks = append(clocks, h.Ahead())
		}
	}
	most := median(clocks)
	var members []Member
	for _, h := range hosts {
		m := Member{Host: h, Health: Shares}
		if off := h.Ahead() - most; off.Abs() > clockTolerance {
			m.Offset = off
		}
		switch {
		case h.Unreadable == errNewer.Error():
			m.Health = NewerVersion
		case h.Unreadable != "":
			m.Health = OtherSecret
		case h.Stopped:
			m.Health = Stopped
		case blind && !h.Self, h.Self && h.silent(now): // the latter is of a process that has ended
			m.Health = Unknown
		case h.silent(now):
			m.Health = Missing
		case h.Problem != "":
			m.Health = Alone
		case m.Offset != 0:
			m.Health = ClockDiffers
		case h.Lag() > maxLag:
			m.Health = Behind
		}
		members = append(members, m)
	}
	return members
}

// Summary says in a sentence how many hosts share.
func Summary(members []Member) string {
	var sharing, stopped int
	for _, m := range members {
		switch {
		case m.Health.Sharing():
			sharing++
		case m.Health == Stopped:
			stopped++
		}
	}
	text := fmt.Sprintf("%d of %d hosts of the fleet share", sharing, len(members))
	if sharing == len(members) {
		text = fmt.Sprintf("All hosts of the fleet share: %d", sharing)
	}
	if stopped > 0 {
		text += fmt.Sprintf("; stopped: %d", stopped)
	}
	return text + "."
}

// Versions returns the versions of Postern that hosts run, sorted.
func Versions(members []Member) (versions []string) {
	for _, m := range members {
		if m.Version != "" && m.Health != Stopped && m.Health != Missing {
			versions = append(versions, m.Version)
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// silent reports whether the host has said nothing for too long.
func (h Host) silent(now time.Time) bool { return now.Sub(h.Seen) > missingAfter }

// median returns the middle of values, of two in the middle that closer to zero: the host that
// looks is not to blame for the other's clock.
func median(values []time.Duration) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := values[(len(values)-1)/2 : len(values)/2+1]
	return slices.MinFunc(middle, func(a, b time.Duration) int { return cmp.Compare(a.Abs(), b.Abs()) })
}

// Clock is how the host's clock differs from that of the host that looks, in words; empty if by
// less than a second, or if that is not known.
func (m Member) Clock() string {
	switch ahead := m.Ahead().Round(time.Second); {
	case ahead > 0:
		return ahead.String() + " ahead"
	case ahead < 0:
		return (-ahead).String() + " behind"
	}
	return ""
}

// BehindBy is how long the host is behind with what hosts saw, in words; empty if by less than two
// minutes, or if that is not known.
func (m Member) BehindBy() string {
	if lag := m.Lag(); lag >= 2*time.Minute {
		return Age(lag)
	}
	return ""
}

// Age is a duration in words, in its largest unit.
func Age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	if minutes := max(0, d/time.Minute); minutes != 1 {
		return fmt.Sprintf("%d minutes", minutes)
	}
	return "1 minute"
}

// Title is the host and its health.
func (m Member) Title() string { return safetext.Shorten(m.Name, 60) + " " + m.Health.Words() }

// Text says what is wrong, in a sentence. It is empty if nothing is.
func (m Member) Text() string {
	switch m.Health {
	case Missing:
		return fmt.Sprintf("%s says nothing since %s: it does not run, or cannot reach NATS.", m.Name, m.Seen.UTC().Format("2006-01-02 15:04 UTC"))
	case Alone:
		return fmt.Sprintf("%s goes on alone: %s.", m.Name, m.Problem)
	case OtherSecret, NewerVersion:
		return fmt.Sprintf("What %s says of itself %s.", m.Name, m.Unreadable)
	case Behind:
		return fmt.Sprintf("For %s the pages of %s lack what others saw, or theirs what it saw.", Age(m.Lag()), m.Name)
	case ClockDiffers:
		side := "ahead of"
		if m.Offset < 0 {
			side = "behind"
		}
		return fmt.Sprintf("The clock of %s is %v %s most others.", m.Name, m.Offset.Abs().Round(time.Second), side)
	}
	return ""
}

// Next is what to do about it, in a sentence. It is empty if there is nothing to do.
func (m Member) Next() string {
	switch m.Health {
	case Missing:
		return "Look whether it runs, and in its log for fleet unreachable. If you took it out for good: postern fleet forget " + safetext.Printable(m.Name)
	case Alone:
		if m.Remedy != "" {
			return fmt.Sprintf("At %s %s.", m.Name, m.Remedy)
		}
		return "Look at the NATS servers, and at servers, credentials, ca and secret-file in its [fleet]. Mail is not affected."
	case OtherSecret:
		return "Give all hosts the same secret-file, and restart those that had another."
	case NewerVersion:
		return "Install the newer version at the other hosts too."
	case Behind:
		return "Wait if it was away: it catches up. Else look in its log, and whether NATS or its disk are slow."
	case ClockDiffers:
		return "Let the hosts set their clocks by NTP. Sharing does not depend on them; times in the ledger do."
	}
	return ""
}
