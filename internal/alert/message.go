package alert

import (
	"fmt"
	"strings"
	"time"

	"postern/internal/ledger"
)

// A Message is what a channel tells at once. Its JSON is what webhooks and commands get.
type Message struct {
	Host   string    `json:"host"` // the server
	Time   time.Time `json:"time"`
	Events []Event   `json:"events"`

	// Last says that more messages would be too many for now: the next one comes when the
	// oldest of the last 24 hours is a day old.
	Last bool `json:"last,omitempty"`

	// Test says that it is none: somebody tries the channel.
	Test bool `json:"test,omitempty"`

	// Summary is text about a week, in place of events.
	Summary string `json:"summary,omitempty"`
}

// An Event is what happened to an alert.
type Event struct {
	Event string `json:"event"` // [Began], [Reminder] or [Ended]
	ledger.Alert

	alert *ledger.Alert
}

// newEvent returns an event without what others were told.
func newEvent(event string, a *ledger.Alert) Event {
	e := Event{Event: event, Alert: *a, alert: a}
	e.Said = nil
	return e
}

// Test returns a message for trying a channel.
func Test(host string, now time.Time) Message {
	return Message{Host: host, Time: now, Events: []Event{}, Test: true}
}

// Subject returns the message in one line.
func (m Message) Subject() string {
	head := "[" + m.Host + "] "
	switch {
	case m.Test:
		return head + "test: Postern can reach you"
	case m.Summary != "":
		return head + "Postern's week"
	case len(m.Events) == 1:
		return head + m.Events[0].head()
	}
	counts := make(map[string]int)
	for _, e := range m.Events {
		counts[e.Event]++
	}
	var parts []string
	for _, one := range []struct{ event, word string }{{Began, "new"}, {Reminder, "still open"}, {Ended, "over"}} {
		if n := counts[one.event]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, one.word))
		}
	}
	return head + "alerts: " + strings.Join(parts, ", ")
}

// head is an event in a few words.
func (e Event) head() string {
	what := Kind(e.Kind).About(e.Alert.Subject)
	switch e.Event {
	case Ended:
		return "over: " + what
	case Reminder:
		return "still: " + what
	}
	return what
}

// maxEvents is how many events a text has.
const maxEvents = 20

// Text returns the message for people.
func (m Message) Text() string {
	var b strings.Builder
	switch {
	case m.Test:
		b.WriteString("This is a test of an alert channel. Nothing is wrong.\n")
	case m.Summary != "":
		b.WriteString(m.Summary)
	}
	for i, e := range m.Events {
		if i == maxEvents {
			fmt.Fprintf(&b, "And %d more: postern alerts lists them.\n\n", len(m.Events)-maxEvents)
			break
		}
		e.write(&b)
	}
	if m.Last {
		b.WriteString("This is the last message for now: max-per-day is reached. postern alerts lists what begins meanwhile.\n\n")
	}
	if len(m.Events) > 0 {
		b.WriteString("postern alerts lists all alerts; postern alerts ack NUMBER ends the reminders of one.\n")
	}
	return b.String()
}

func (e Event) write(b *strings.Builder) {
	fmt.Fprintf(b, "%d: %s\n", e.ID, e.head())
	if e.Event == Ended {
		fmt.Fprintf(b, "From %s to %s.\n\n", stamp(e.Since), stamp(e.Seen))
		return
	}
	fmt.Fprintf(b, "%s\nOpen since %s.", e.Alert.Text, stamp(e.Since))
	if e.Reopened > 0 {
		fmt.Fprintf(b, " It comes and goes: %s.", plural(int64(e.Reopened+1), "time", "times"))
	}
	fmt.Fprintf(b, "\nNext step: %s\n\n", e.Alert.Next)
}
