package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/internal/testlog"
)

// A desk is an operator with one channel, and a clock.
type desk struct {
	*testing.T
	log      testlog.Log
	book     *book
	notifier *notifier
	now      time.Time
	broken   error // of the channel
	told     []Message
}

func newDesk(t *testing.T, mostPerDay int) *desk {
	d := &desk{T: t, now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	d.book = openBook(nil, 0, d.now)
	d.notifier = &notifier{
		Settings: Settings{Host: "mx.example.org", Channels: []Channel{d}, MaxPerDay: mostPerDay, Log: d.log.Logger()},
		states:   make(map[string]*channelState),
	}
	return d
}

// Tell makes a desk a [Channel].
func (d *desk) Tell(_ context.Context, m Message) error {
	if d.broken == nil {
		d.told = append(d.told, m)
	}
	return d.broken
}

// pass lets time pass, in which so much is wrong.
func (d *desk) pass(long time.Duration, wrong ...Condition) {
	for end := d.now.Add(long); d.now.Before(end); {
		d.now = d.now.Add(interval)
		d.book.update(d.now, wrong)
		d.notifier.tell(d.Context(), d.book.current(), d.now)
	}
}

// heard returns what the operator was told since the last call, as "began 1, ended 2".
func (d *desk) heard() []string {
	var all []string
	for _, m := range d.told {
		var events []string
		for _, e := range m.Events {
			events = append(events, fmt.Sprintf("%s %d", e.Event, e.ID))
		}
		all = append(all, strings.Join(events, ", "))
	}
	d.told = nil
	return all
}

func (d *desk) expect(want ...string) {
	d.Helper()
	if got := d.heard(); !slices.Equal(got, want) {
		d.Errorf("told %q, want %q", got, want)
	}
}

var (
	hopIsDown   = Condition{Kind: NextHopDown, Subject: "smtp://10.0.0.2", Text: "It does not answer.", Next: "Start it."}
	oneStopped  = Condition{Kind: SenderStopped, Subject: "sender.example"}
	twoStopped  = Condition{Kind: SenderStopped, Subject: "other.example"}
	threeStoped = Condition{Kind: SenderStopped, Subject: "third.example"}
)

// Name returns "desk".
func (d *desk) Name() string { return "desk" }

func TestAlertIsToldWhenItBeginsEachDayAndWhenItEnds(t *testing.T) {
	d := newDesk(t, 10)
	d.pass(time.Hour)
	d.expect()
	d.pass(50*time.Hour, hopIsDown)
	d.expect("began 1", "reminder 1", "reminder 1")
	d.pass(clearTime - interval)
	d.expect()
	d.pass(time.Hour)
	d.expect("ended 1")
	d.pass(100 * time.Hour)
	d.expect()
}

func TestAcknowledgedAlertIsNotRepeatedAndItsEndIsTold(t *testing.T) {
	d := newDesk(t, 10)
	d.pass(time.Hour, hopIsDown)
	d.expect("began 1")
	acknowledged := *d.book.current()[0]
	acknowledged.Acknowledged, acknowledged.By = d.now, "ann"
	d.book.acknowledge(acknowledged)
	d.pass(100*time.Hour, hopIsDown)
	d.expect()
	d.pass(time.Hour)
	d.expect("ended 1")
}

// What comes and goes is one alert, which ends once it stays away.
func TestFlappingIsOneAlert(t *testing.T) {
	d := newDesk(t, 10)
	for range 20 {
		d.pass(10*time.Minute, hopIsDown)
		d.pass(20 * time.Minute)
	}
	got := d.heard()
	if len(got) > 6 {
		t.Errorf("ten hours of flapping are %d messages: %q", len(got), got)
	}
	d.pass(24 * time.Hour)
	if got := d.heard(); len(got) > 1 || d.book.last != 1 {
		t.Errorf("told %q at the end, and made %d alerts", got, d.book.last)
	}
	if open := d.book.current(); len(open) > 0 && open[0].Ended.IsZero() {
		t.Error("the alert is still open")
	}
}

func TestWhatHappensAtOnceIsOneMessage(t *testing.T) {
	d := newDesk(t, 10)
	d.pass(interval, oneStopped, twoStopped)
	d.expect("began 1, began 2")
	d.pass(13*time.Hour, oneStopped, twoStopped)
	d.pass(interval, oneStopped, twoStopped, threeStoped)
	d.expect("began 3")
	d.pass(40*time.Hour, oneStopped, twoStopped, threeStoped)
	d.expect("reminder 1, reminder 2", "reminder 1, reminder 2, reminder 3")
}

// More than the set number a day are held back, and come as one.
func TestMessagesOfADayAreBounded(t *testing.T) {
	d := newDesk(t, 4) // one of which is not for senders
	var wrong []Condition
	for i := range 8 {
		wrong = append(wrong, Condition{Kind: SenderStopped, Subject: fmt.Sprintf("sender%d.example", i)})
		d.pass(time.Hour, wrong...)
	}
	if len(d.told) != 3 || !d.told[2].Last || d.told[1].Last {
		t.Fatalf("%d messages, the last of which says so: %v", len(d.told), d.told[len(d.told)-1].Last)
	}
	if text := d.told[2].Text(); !strings.Contains(text, "This is the last message for now") {
		t.Errorf("the last message does not say that it is:\n%s", text)
	}
	d.expect("began 1", "began 2", "began 3")
	d.pass(17*time.Hour, wrong...)
	if got := d.heard(); len(got) != 1 || !strings.Contains(got[0], "began 4, began 5, began 6, began 7, began 8") {
		t.Errorf("after a day: %q", got)
	}
}

// Strangers can make senders up. That does not keep what is wrong with the server from the operator.
func TestSendersLeaveRoomForTheServer(t *testing.T) {
	for most, senders := range map[int]int{10: 8, 5: 4, 2: 1, 1: 1} {
		d := newDesk(t, most)
		var wrong []Condition
		for i := range 20 {
			wrong = append(wrong, Condition{Kind: SenderStopped, Subject: fmt.Sprintf("sender%d.example", i)})
			d.pass(10*time.Minute, wrong...)
		}
		if got := len(d.heard()); got != senders {
			t.Errorf("of %d messages %d are about senders, want %d", most, got, senders)
		}
		d.pass(10*time.Minute, append(wrong, hopIsDown)...)
		if got := d.heard(); most > 1 && (len(got) != 1 || !strings.Contains(got[0], "began 21")) {
			t.Errorf("of %d messages, about the next hop: %q", most, got)
		}
	}
}

// A channel that was down is told what is true when it is back: what ended meanwhile, once.
func TestChannelThatWasDownIsToldWhatIsTrue(t *testing.T) {
	d := newDesk(t, 10)
	d.pass(interval)
	d.broken = errors.New("connection refused")
	d.pass(2*time.Hour, hopIsDown, oneStopped)
	d.pass(time.Hour, oneStopped)
	if n := d.log.Count("cannot send alerts"); n < 5 || n > 10 {
		t.Errorf("tried %d times in three hours", n)
	}
	d.broken = nil
	d.pass(lastRetry, oneStopped)
	d.expect("ended 1, began 2")
}

// A restart repeats nothing, and ends nothing that was not looked at meanwhile.
func TestRestartRepeatsNothing(t *testing.T) {
	d := newDesk(t, 10)
	d.pass(time.Hour, hopIsDown, oneStopped)
	d.expect("began 1, began 2")
	var stored []ledger.Alert
	for _, a := range d.book.current() {
		stored = append(stored, *a)
	}
	d.now = d.now.Add(3 * time.Hour)
	d.book = openBook(stored, d.book.last, d.now)
	d.pass(interval, hopIsDown)
	d.expect()
	d.pass(time.Hour, hopIsDown)
	d.expect("ended 2")
}
