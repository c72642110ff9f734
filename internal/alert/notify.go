package alert

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"postern/internal/ledger"
	"postern/internal/logkey"
)

// A Channel tells somebody.
type Channel interface {
	// Name identifies the channel: "mail", "webhook" or "command".
	Name() string

	// Tell passes a message on. It waits until that is done, at most some seconds beyond
	// the channel's own timeout. After an error the message is told again later, as it is
	// then.
	Tell(context.Context, Message) error
}

// The events that a channel is told of an alert.
const (
	Began    = "began"
	Reminder = "reminder" // it lasts
	Ended    = "ended"
)

const (
	// reminderTime is how often an alert that lasts is told again, until it is
	// acknowledged. Others join the message if their own would come within joinTime.
	reminderTime = 24 * time.Hour
	joinTime     = 12 * time.Hour

	// tellTime bounds all that is told at once by one channel.
	tellTime = 2 * time.Minute

	// After a failure a channel waits, longer each time.
	firstRetry = time.Minute
	lastRetry  = time.Hour

	// channelsMemory is the name of what the notifier stores.
	channelsMemory = "channels"
)

// A notifier tells channels what they have not been told.
type notifier struct {
	Settings
	states map[string]*channelState
	stored []byte
}

// A channelState is what is remembered of a channel.
type channelState struct {
	Since    time.Time   `json:"since"` // it is told what begins or ends from then on
	Sent     []time.Time `json:"sent"`  // messages of the last 24 hours
	Week     time.Time   `json:"week"`  // end of the last week with a summary
	failures int
	retry    time.Time
}

// restoreNotifier returns a notifier with what it has stored.
func restoreNotifier(ctx context.Context, reader *ledger.Reader, s Settings) (*notifier, error) {
	n := &notifier{Settings: s, states: make(map[string]*channelState)}
	text, err := reader.Memory(ctx, channelsMemory)
	if err != nil || text == nil {
		return n, err
	}
	n.stored = text
	return n, json.Unmarshal(text, &n.states)
}

// save stores what has changed.
func (n *notifier) save(book *ledger.Ledger) {
	text, err := json.Marshal(n.states)
	if err == nil && string(text) != string(n.stored) {
		n.stored = text
		book.PutMemory(channelsMemory, text)
	}
}

// tell tells each channel what is due, and returns the alerts of which something was said.
func (n *notifier) tell(ctx context.Context, alerts []*ledger.Alert, now time.Time) []*ledger.Alert {
	changed := make(map[int64]*ledger.Alert)
	for _, channel := range n.Channels {
		state := n.states[channel.Name()]
		if state == nil {
			state = &channelState{Since: now, Week: lastWeek(now)}
			n.states[channel.Name()] = state
		}
		message := Message{Host: n.Host, Time: now, Events: state.due(channel.Name(), alerts, now)}
		if len(message.Events) == 0 || now.Before(state.retry) {
			continue
		}
		last, over := state.room(now, n.most(message))
		if over {
			continue
		}
		message.Last = last
		if n.send(ctx, channel, state, message, now) {
			for _, e := range message.Events {
				e.alert.Said = maps.Clone(e.alert.Said)
				if e.alert.Said == nil {
					e.alert.Said = make(map[string]ledger.Said)
				}
				e.alert.Said[channel.Name()] = ledger.Said{Event: e.Event, At: now}
				changed[e.alert.ID] = e.alert
			}
		}
	}
	return slices.Collect(maps.Values(changed))
}

// most returns how many messages of a day there may be before this one, and itself. Strangers can
// cause any number of alerts about senders: a fifth is kept for what is wrong with the server.
func (n *notifier) most(m Message) int {
	if slices.ContainsFunc(m.Events, func(e Event) bool { return !Kind(e.Kind).byStrangers() }) {
		return n.MaxPerDay
	}
	return n.MaxPerDay - (n.MaxPerDay+3)/5
}

// send passes a message on and reports whether the channel took it.
func (n *notifier) send(ctx context.Context, channel Channel, state *channelState, message Message, now time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if err := channel.Tell(ctx, message); err != nil {
		state.retry = now.Add(min(firstRetry<<min(state.failures, 10), lastRetry))
		state.failures++
		n.Log.Warn("cannot send alerts; trying again", logkey.Via, channel.Name(), logkey.Err, err)
		return false
	}
	state.failures, state.retry = 0, time.Time{}
	state.Sent = append(state.Sent, now)
	n.Log.Info("alerts sent", logkey.Via, channel.Name(), logkey.Events, len(message.Events))
	return true
}

// room reports whether one more message may be sent, and whether it is the last one for now.
func (s *channelState) room(now time.Time, most int) (last, over bool) {
	s.Sent = slices.DeleteFunc(s.Sent, func(at time.Time) bool { return now.Sub(at) >= 24*time.Hour || at.After(now) })
	return len(s.Sent) == most-1, len(s.Sent) >= most
}

// due returns what a channel is to be told now.
func (s *channelState) due(channel string, alerts []*ledger.Alert, now time.Time) (events []Event) {
	var lasting []*ledger.Alert
	remind := false
	for _, a := range alerts {
		said, known := a.Said[channel]
		open := a.Ended.IsZero()
		switch {
		case open && (!known || said.Event == Ended):
			events = append(events, newEvent(Began, a))
		case open && a.Acknowledged.IsZero():
			lasting = append(lasting, a)
			remind = remind || now.Sub(said.At) >= reminderTime
		case !open && known && said.Event != Ended,
			!open && !known && a.Ended.After(s.Since) && now.Sub(a.Ended) < reopenTime:
			events = append(events, newEvent(Ended, a))
		}
	}
	if remind {
		for _, a := range lasting {
			if now.Sub(a.Said[channel].At) >= joinTime {
				events = append(events, newEvent(Reminder, a))
			}
		}
	}
	return events
}
