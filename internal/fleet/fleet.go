// Package fleet shares with other hosts what one host alone cannot have: the keys of session
// tickets, so that a sender resumes at every host; what the fallback learned, so that a sender that
// failed at one host is answered rightly at the next; the operator's pins; what package acme
// obtains; that it is there; and what each host saw, so that the dashboard of any one shows all.
//
// Hosts share through NATS JetStream: in a stream what they saw, and in a key-value bucket each of the
// rest. Everything in them is encrypted and authenticated with a key derived from a secret that the
// hosts have and NATS does not.
//
//	f, err := fleet.New(settings)
//	go f.Run(ctx)
//
// # Without NATS
//
// Nothing waits for NATS: a host goes on with what it has, tries again, and catches up. It logs when
// NATS becomes unreachable and when it is back, once each. It keeps the ticket keys in a file, so
// that senders resume after a restart too.
//
// # Guarantees
//
// All hosts encrypt tickets with the same key, except for the moment when they learn of the next
// one, which all had a day before. Of two hosts that turn the ring at the same time one wins, by
// compare-and-set.
//
// States of senders are merged by rules that do not depend on the order in which they arrive: see
// [fallback.Selector.Adopt]. Of two changes of a pin the later one wins: see [fallback.PinChange].
//
// Events are published at least once, in the order in which their host stored them, and others take
// each once. A host that was away takes them when it is back, for as long as the stream has them.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/fallback"
	"postern/internal/logkey"
)

// Settings are those of one host.
type Settings struct {
	Access
	Version string // of this host's Postern
	File    string // where this host keeps the ticket keys, encrypted

	// UseKeys sets the keys of session tickets, the one that encrypts first.
	UseKeys func(keys [][32]byte)
	// Selector is the host's. It has the host's name: see [fallback.Selector.Share].
	Selector *fallback.Selector
	// Decided gets the changes of modes by other hosts.
	Decided func([]fallback.Decision)
	// Pins are the operator's at this host.
	Pins Pins
	// ShowHosts gets the hosts of the fleet, again and again, and soon after one has changed.
	ShowHosts func([]Host)
	// Events has what this host saw, and gets what the others saw.
	Events Events

	Now func() time.Time // the host's clock
	Log *slog.Logger
}

// Access is what a host needs to take part.
type Access struct {
	Servers     []string // URLs of NATS servers; at least one
	Credentials string   // file with a user's JWT and key, read at each attempt to connect; empty: none
	CA          string   // file with the authorities of the servers' certificates, read likewise; empty: the system's
	Name        string   // of this host; no other one of the fleet has it
	Prefix      string   // of the names in NATS; see [ValidPrefix]
	Secret      []byte   // of the fleet; at least 32 bytes
}

// ValidPrefix is what a prefix may consist of.
var ValidPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

const (
	// Waits before what failed is tried again.
	firstRetry, lastRetry = time.Second, 30 * time.Second

	// steadyAfter is how long all has to be shared again until the log says so: each part has a
	// leader of its own in NATS, and they are elected one after the other.
	steadyAfter = 10 * time.Second

	// checkInterval is how often a host compares its ring with the stored one.
	checkInterval = 30 * time.Second
)

// A Fleet is one host's part of it. It is made by [New].
type Fleet struct {
	Settings
	sealer  *sealer
	started time.Time

	changedHere  chan struct{} // gets a value when there is something new to say of this host,
	changedThere chan struct{} // or of the hosts

	files   *Files // nil: none are shared
	refused refusals

	// Of shareTickets: the stored ring was of this secret once, and when this host last put it back.
	agreed  bool
	putBack time.Time

	mu        sync.Mutex
	ring      ring
	turned    time.Time // when this host took another ring into use; zero: not since its start
	roll      roll
	published time.Time // see Status
	taken     time.Time
	down      map[string]error // by what failed; empty: all is shared
	well      time.Time        // since when it is empty, on the monotonic clock; zero: it is not
	logged    logged
	shared    bool          // it was empty since the start
	again     chan struct{} // closed when the connection was lost and is back
}

// New returns a fleet that has the ticket keys of its file, or new ones. Secret has to be long
// enough.
func New(s Settings) (*Fleet, error) {
	sealer, err := newSealer(s.Secret, s.Prefix)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f := &Fleet{
		Settings: s, sealer: sealer, started: s.Now(), roll: roll{entries: make(map[string]entry)},
		changedHere: make(chan struct{}, 1), changedThere: make(chan struct{}, 1),
		down: make(map[string]error), again: make(chan struct{}),
	}
	for _, part := range f.parts() {
		f.down[part] = errors.New("not connected yet")
	}
	f.ring = f.load()
	f.UseKeys(f.ring.keys())
	return f, nil
}

// logged is what the log says of a fleet.
type logged int

const (
	nothing logged = iota
	connected
	unreachable
)

// The parts of a fleet, each of which can fail alone.
const (
	partConnection = "connection"
	partTickets    = "ticket keys"
	partStates     = "sender history"
	partPins       = "pins"
	partHosts      = "hosts"
	partPublishing = "events of this host"
	partTaking     = "events of other hosts"
	partFiles      = "certificates"
)

var parts = []string{partConnection, partTickets, partStates, partPins, partHosts, partPublishing, partTaking, partFiles}

// parts returns those that this host has.
func (f *Fleet) parts() []string {
	if f.files == nil {
		return parts[:len(parts)-1]
	}
	return parts
}

// Run shares until ctx ends. Then it says that this host has stopped.
func (f *Fleet) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { f.runAlone(ctx) })
	running.Go(func() { f.showHosts(ctx) })
	conn := f.connect(ctx)
	if conn == nil {
		return
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil { // it has no options that could be wrong
		panic(err)
	}
	var sharing sync.WaitGroup
	sharing.Go(func() { f.keep(ctx, js, partTickets, f.shareTickets) })
	sharing.Go(func() { f.keep(ctx, js, partStates, f.shareStates) })
	sharing.Go(func() { f.keep(ctx, js, partPins, f.sharePins) })
	sharing.Go(func() { f.keep(ctx, js, partHosts, f.shareHosts) })
	sharing.Go(func() { f.keep(ctx, js, partPublishing, f.publishEvents) })
	sharing.Go(func() { f.keep(ctx, js, partTaking, f.takeEvents) })
	if f.files != nil {
		sharing.Go(func() { f.keep(ctx, js, partFiles, f.files.shareFiles) })
	}
	sharing.Wait()
}

// keep runs a part again and again until ctx ends. A part returns an error if it failed, and nil
// when it has to begin again.
func (f *Fleet) keep(ctx context.Context, js jetstream.JetStream, part string, run func(context.Context, jetstream.JetStream, <-chan struct{}) error) {
	wait := firstRetry
	for ctx.Err() == nil {
		again, began := f.hasBegunAgain(), time.Now()
		running, cancel := context.WithCancel(ctx)
		err := run(running, js, again)
		cancel() // its watch
		if err == nil || time.Since(began) > 2*electionTime || js.Conn().Status() != nats.CONNECTED {
			wait = firstRetry
		}
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			f.note(part, err)
		}
		timer := time.NewTimer(wait)
		wait = min(2*wait, lastRetry)
		select {
		case <-timer.C:
			if !isAnswer(f.refused.reason(err)) && !errors.As(err, &ledgerError{}) && again == f.hasBegunAgain() && js.Conn().IsConnected() {
				// The server may be cut off from the others of its cluster, or hang: take another, once for all parts.
				_ = js.Conn().ForceReconnect() // its only error is that this host has closed it
			}
		case <-again:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// A ledgerError is one of this host's own ledger, with which NATS has nothing to do.
type ledgerError struct{ error }

func (e ledgerError) Unwrap() error { return e.error }

func ofLedger(err error) error {
	if err == nil {
		return nil
	}
	return ledgerError{err}
}

// note records that a part works, or why it does not, and logs when the fleet as a whole begins or
// ceases to work.
func (f *Fleet) note(part string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.signalChange(f.problem())
	switch {
	case err == nil:
		delete(f.down, part)
		f.noteWell()
		return
	case part != partConnection && f.down[partConnection] != nil:
		return // without a connection no part works
	case part == partConnection:
		for _, every := range f.parts() {
			f.down[every] = err
		}
	default:
		err = f.refused.reason(err)
		f.down[part] = err
	}
	f.well = time.Time{}
	if f.logged != unreachable {
		f.logged = unreachable
		f.Log.Warn("fleet unreachable; this host goes on alone and tries again", logkey.Member, f.Name, logkey.Part, part, logkey.Err, err)
	}
}

// noteWell logs that all parts work: at once when they do for the first time, and else when they have for
// a while. The part that publishes makes it look each second. The caller holds f.mu.
func (f *Fleet) noteWell() {
	if len(f.down) > 0 || f.logged == connected {
		return
	}
	if f.well.IsZero() {
		f.well = time.Now()
	}
	if f.shared && time.Since(f.well) < steadyAfter {
		return
	}
	f.logged, f.shared = connected, true
	f.Log.Info("fleet connected", logkey.Member, f.Name)
}

// beginAgain makes the parts begin again, since NATS may have lost their watches.
func (f *Fleet) beginAgain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.again)
	f.again = make(chan struct{})
}

// hasBegunAgain is closed when the parts have to begin again.
func (f *Fleet) hasBegunAgain() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.again
}

// A Status says how a host shares.
type Status struct {
	Problem   string    // why it does not; empty: it does
	Remedy    string    // what to do about it, if that is known
	Turn      uint64    // of the ring of ticket keys
	Since     time.Time // when the key in use was made
	Published time.Time // when this host last had published all that it stored; zero: not since its start
	Taken     time.Time // when it last had taken all that others published
}

// Status returns the present status.
func (f *Fleet) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	problem, remedy := f.problem()
	return Status{Problem: problem, Remedy: remedy, Turn: f.ring.Turn, Since: f.ring.Since, Published: f.published, Taken: f.taken}
}

// problem returns why the host does not share, and what to do about it if that is known; empty if it
// shares. The caller holds f.mu.
func (f *Fleet) problem() (what, remedy string) {
	for _, part := range parts {
		if err := f.down[part]; err != nil {
			if remedied := interface{ Remedy() string }(nil); errors.As(err, &remedied) {
				remedy = remedied.Remedy()
			}
			return fmt.Sprintf("%s: %v", part, err), remedy
		}
	}
	if f.Now().Sub(f.roll.double) < missingAfter {
		return partHosts + ": another host has the same name", "set name in [fleet] to one that no other host has, and restart it"
	}
	return "", ""
}

// signalChange says so if the problem is another one than before. The caller holds f.mu.
func (f *Fleet) signalChange(before, _ string) {
	if what, _ := f.problem(); what != before {
		signal(f.changedHere)
		signal(f.changedThere)
	}
}

// hasPublishedAll notes that at a moment all was published that this host had stored.
func (f *Fleet) hasPublishedAll(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.published = at
}

// hasTakenAll notes that at a moment this host had taken all that others had published.
func (f *Fleet) hasTakenAll(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = at
}
