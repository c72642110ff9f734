package fleet

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/logkey"
	"postern/internal/safetext"
)

// A Host is a host of the fleet, as another one sees it.
type Host struct {
	Name     string    `json:"host"`
	Version  string    `json:"version,omitempty"` // of Postern
	Started  time.Time `json:"started,omitzero"`  // by its clock
	KeySince time.Time `json:"ticket_key_since,omitzero"`

	// Published is when the host last had published all that it saw, and Taken when it last had
	// taken all that others saw; both by its clock.
	Published time.Time `json:"published,omitzero"`
	Taken     time.Time `json:"taken,omitzero"`

	Problem string    `json:"problem,omitempty"` // why it does not share; empty: it does
	Remedy  string    `json:"remedy,omitempty"`  // what to do at it, if that is known
	Stopped bool      `json:"stopped,omitempty"` // it said that it stops
	Said    time.Time `json:"said,omitzero"`     // when it said all that, by its clock

	// What the host that looks adds.
	Seen       time.Time `json:"seen"`                 // Said, by the clock of the host that looks
	Self       bool      `json:"self,omitempty"`       // it is the one that looks
	Unreadable string    `json:"unreadable,omitempty"` // why what it said cannot be read
}

// Ahead is how far the host's clock is ahead of that of the host that looks.
func (h Host) Ahead() time.Duration {
	if h.Said.IsZero() {
		return 0
	}
	return h.Said.Sub(h.Seen)
}

// Lag is how long it has been behind with what hosts saw when it said so.
func (h Host) Lag() time.Duration {
	if h.Said.IsZero() || h.Started.IsZero() {
		return 0
	}
	since := func(t time.Time) time.Duration { // not since its start, if never
		if t.IsZero() {
			t = h.Started
		}
		return h.Said.Sub(t)
	}
	return max(0, since(h.Published), since(h.Taken))
}

const (
	// hostInterval is how often a host says that it is there.
	hostInterval = 15 * time.Second

	// settleTime is how soon it says that something has changed. What changes in that time is
	// said at once.
	settleTime = time.Second

	// farewellTime is how long a host that stops may take to say so.
	farewellTime = time.Second

	// hostsKept is how long a host is known that says nothing more: long enough for a weekend.
	hostsKept = 72 * time.Hour

	// MaxHosts bounds the hosts that are known. Of those that cannot be read there are fewer: who
	// can log in to NATS can make up any number.
	MaxHosts      = 256
	maxUnreadable = 20

	maxHostSize = 4 << 10
	maxHostText = 300 // of a problem and its remedy, each
	maxHostName = 255
)

// An entry is what NATS has of a host.
type entry struct {
	Host
	Forgotten bool      `json:"forgotten,omitempty"` // it was taken out: see [Forget]
	created   time.Time // when it was stored, by the clock of NATS
}

// A roll has the hosts that are known.
type roll struct {
	entries map[string]entry // by name; without this host
	offset  time.Duration    // of this host's clock from that of NATS

	spoken bool      // this host has heard itself
	double time.Time // when another host last used its name; zero: none did
}

// shareHosts says that this host is there, and hears of the others. It returns when the watch has
// ended, or this host stops.
func (f *Fleet) shareHosts(ctx context.Context, js jetstream.JetStream, again <-chan struct{}) error {
	kv, watch, err := openBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: hostBucket(f.Prefix), Description: "which hosts there are, encrypted",
		TTL: hostsKept, MaxValueSize: maxHostSize, MaxBytes: 2 * MaxHosts * maxHostSize,
	})
	if err != nil {
		return err
	}
	beat := newBeat()
	defer beat.Stop()
	for waiting := false; ; { // for the watch to bring what this host said
		select {
		case <-again:
			return nil
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellTime)
			defer cancel()
			return f.say(ctx, kv, true)
		case it, ok := <-watch.items:
			if !ok {
				return watch.err
			}
			if it != nil && f.hear(it) && waiting {
				waiting = false
				f.note(partHosts, nil)
			}
		case <-f.changedHere:
			beat.hasten()
		case <-beat.C:
			if waiting {
				return errors.New("the watch does not bring what this host said")
			}
			if err := f.say(ctx, kv, false); err != nil && ctx.Err() == nil {
				return err
			}
			waiting = true
			beat.rest()
		}
	}
}

// say stores what there is to say of this host.
func (f *Fleet) say(ctx context.Context, kv jetstream.KeyValue, stopped bool) error {
	self := f.self()
	self.Stopped = stopped
	value, err := json.Marshal(self)
	if err != nil {
		return err
	}
	return f.store(ctx, kv, hostKey(f.Name), value)
}

// self is this host.
func (f *Fleet) self() Host {
	status, now := f.Status(), f.Now()
	return Host{
		Name: f.Name, Version: safetext.Truncate(f.Version, maxHostText), Started: f.started, KeySince: status.Since,
		Published: status.Published, Taken: status.Taken,
		Problem: safetext.Truncate(status.Problem, maxHostText), Remedy: safetext.Truncate(status.Remedy, maxHostText), Said: now, Seen: now, Self: true,
	}
}

func hostBucket(prefix string) string { return prefix + "-hosts" }

// hostKey is the key of a host: its name, so that also one with another secret can be named. NATS
// knows the names from the connections.
func hostKey(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

func hostOfKey(key string) (name string, ok bool) {
	decoded, err := base64.RawURLEncoding.DecodeString(key)
	name = string(decoded)
	return name, err == nil && len(name) > 0 && len(name) <= maxHostName && safetext.Printable(name) == name
}

// hear notes what a host said, and reports whether it has the name of this one.
func (f *Fleet) hear(it *item) (self bool) {
	name, ok := hostOfKey(it.key)
	if !ok || it.removed {
		return false
	}
	heard := entry{created: it.created}
	err := f.decode(it, &heard)
	if err == nil && heard.Name != name {
		err = errors.New("has another host's name")
	}
	if err != nil {
		heard.Host, heard.Forgotten = Host{Unreadable: err.Error()}, false
	}
	heard.Name, heard.Self = name, false
	f.mu.Lock()
	defer f.mu.Unlock()
	if name == f.Name {
		f.hearSelf(heard)
		return true
	}
	if f.roll.note(heard) {
		signal(f.changedThere)
	}
	return false
}

// hearSelf notes what a host with the name of this one said. Who has no secret can store anything there, also
// what an earlier process of this host said.
func (f *Fleet) hearSelf(heard entry) {
	switch {
	case heard.Unreadable != "":
	case heard.Started.Equal(f.started):
		f.roll.spoken, f.roll.offset = true, heard.Said.Sub(heard.created)
	case f.roll.spoken && !heard.Stopped && heard.Said.After(f.started):
		if f.roll.double.IsZero() {
			f.Log.Error("another host of the fleet has the name of this one", logkey.Member, f.Name)
		}
		f.roll.double = f.Now()
	}
}

// note notes what another host said, and reports whether it is new.
func (r *roll) note(heard entry) (changed bool) {
	before, known := r.entries[heard.Name]
	if heard.Forgotten {
		delete(r.entries, heard.Name)
		return known
	}
	if !known && (len(r.entries) >= MaxHosts || heard.Unreadable != "" && r.unreadable() >= maxUnreadable) {
		return false
	}
	r.entries[heard.Name] = heard
	return !known || before.Version != heard.Version || before.Problem != heard.Problem ||
		before.Stopped != heard.Stopped || before.Unreadable != heard.Unreadable
}

func (r *roll) unreadable() (n int) {
	for _, e := range r.entries {
		if e.Unreadable != "" {
			n++
		}
	}
	return n
}

// Hosts returns the hosts of the fleet by name: this one, and those that said something in the last
// three days.
func (f *Fleet) Hosts() []Host {
	self := f.self()
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []Host{self}
	maps.DeleteFunc(f.roll.entries, func(_ string, e entry) bool {
		e.Seen = e.created.Add(f.roll.offset)
		age := self.Seen.Sub(e.Seen)
		if age > hostsKept || e.Unreadable != "" && age > missingAfter { // it has the secret now, or is gone
			return true
		}
		all = append(all, e.Host)
		return false
	})
	slices.SortFunc(all, func(a, b Host) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// showHosts shows the hosts again and again, and once more when ctx ends.
func (f *Fleet) showHosts(ctx context.Context) {
	beat := newBeat()
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			f.ShowHosts(f.Hosts())
			return
		case <-f.changedThere:
			beat.hasten()
		case <-beat.C:
			f.ShowHosts(f.Hosts())
			beat.rest()
		}
	}
}

// A beat is a timer of something that is done at intervals, and sooner after a change.
type beat struct {
	*time.Timer
	soon bool
}

func newBeat() *beat { return &beat{time.NewTimer(settleTime), true} }

func (b *beat) hasten() {
	if !b.soon {
		b.soon = true
		b.Reset(settleTime)
	}
}

func (b *beat) rest() {
	b.soon = false
	b.Reset(hostInterval)
}

// signal wakes up who reads from a channel with room for one value.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}
