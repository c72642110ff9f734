package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/testlog"
	"postern/internal/testpeer"
	"postern/sessionticket"
)

// A book is the ledger of a host in these tests.
type book struct {
	mu        sync.Mutex
	own       []ledger.Record
	former    string // name of this host
	published int64
	host      string // present name of this host
	taken     map[string][]ledger.Record
	mark      []byte
	broken    error // what Take returns
	begun     int   // how often taking began
	pins      map[netip.Prefix]fallback.PinChange
}

// write stores events of this host.
func (b *book) write(texts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range texts {
		id := int64(1000)
		if n := len(b.own); n > 0 {
			id = b.own[n-1].ID + 1
		}
		b.own = append(b.own, ledger.Record{ID: id, Kind: "test", Data: []byte(text)})
	}
}

func (b *book) Own(_ context.Context, after int64, most int) ([]ledger.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	after = max(after, b.published)
	i := slices.IndexFunc(b.own, func(r ledger.Record) bool { return r.ID > after })
	if i < 0 {
		return nil, nil
	}
	return slices.Clone(b.own[i:min(i+most, len(b.own))]), nil
}

func (b *book) Former(context.Context) (string, error) { return b.former, nil }

func (b *book) Published(_ context.Context, last int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.published = max(b.published, last)
	return nil
}

func (b *book) Follow(context.Context, int64) error { return nil }
func (b *book) EndLost(context.Context) error       { return nil }

func (b *book) Take(_ context.Context, host string, after int64, records []ledger.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return b.broken
	}
	if has := b.taken[host]; after > 0 && (len(has) == 0 || has[len(has)-1].ID < after) {
		return ledger.ErrReplaced
	}
	if host == b.host {
		return nil
	}
	for _, r := range records {
		if has := b.taken[host]; len(has) == 0 || has[len(has)-1].ID < r.ID {
			b.taken[host] = append(has, r)
		}
	}
	return nil
}

func (b *book) Taken(context.Context) (map[string]int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := make(map[string]int64)
	for host, records := range b.taken {
		taken[host] = records[len(records)-1].ID
	}
	return taken, nil
}

func (b *book) Mark(context.Context) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun++
	return b.mark, nil
}

func (b *book) PutMark(value []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mark = value
}

// from returns what was taken from a host.
func (b *book) from(host string) (texts []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.taken[host] {
		texts = append(texts, string(r.Data))
	}
	return texts
}

// A testHost is a host of the fleet in these tests. It can stop, and start again with what its book has.
type testHost struct {
	t    *testing.T
	name string
	*book
	change func(*Settings) // before the host starts; nil: nothing
	log    testlog.Log
	fleet  *Fleet
	stop   func()
}

func newTestHost(t *testing.T, name string, servers []*testpeer.NATS) *testHost {
	m := &testHost{t: t, name: name, book: newBook()}
	m.start(servers)
	return m
}

func newBook() *book {
	return &book{taken: make(map[string][]ledger.Record), pins: make(map[netip.Prefix]fallback.PinChange)}
}

func (m *testHost) start(servers []*testpeer.NATS) {
	m.t.Helper()
	m.host = m.name
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URL)
	}
	selector := fallback.New(sessionticket.OwnWrite)
	selector.Share(m.name)
	settings := Settings{
		Access: Access{Servers: urls, Name: m.name, Prefix: "test", Secret: []byte(secret)}, File: filepath.Join(m.t.TempDir(), "keys"),
		UseKeys: func([][32]byte) {}, Selector: selector, Decided: func([]fallback.Decision) {}, ShowHosts: func([]Host) {},
		Events: m.book, Pins: m.book, Now: time.Now, Log: m.log.Logger(),
	}
	if m.change != nil {
		m.change(&settings)
	}
	f, err := New(settings)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	m.fleet = f
	m.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	m.t.Cleanup(m.stop)
}

// awaitFrom waits until all that a host wrote was taken from it, each once and in order.
func (m *testHost) awaitFrom(host string, want ...string) {
	m.t.Helper()
	await(m.t, func() error {
		if got := m.from(host); !slices.Equal(got, want) {
			return fmt.Errorf("%s has taken %q from %s, want %q", m.name, got, host, want)
		}
		return nil
	})
}

func await(t *testing.T, check func() error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// A message of four kilobytes can have millions of records. It takes no memory that mail needs.
func TestMessageOfMillionsOfRecordsIsRejected(t *testing.T) {
	packed, err := encodeBatch(&batch{Host: "a", Records: make([]ledger.Record, 3_900_000)})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := decodeBatch(packed); err == nil || !strings.Contains(err.Error(), "3900000 events in a message") {
		t.Errorf("decoding it: %v", err)
	}
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 200 {
		t.Errorf("it took %d MiB", took)
	}
}

// A host that has nothing new to publish notices all the same that NATS has lost what it had confirmed.
func TestEventsThatNATSLostArePublishedAgainByAQuietHost(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a := newTestHost(t, "a", servers)
	js, stream := eventStream(t, servers[0])
	a.stop()
	p := &publisher{Fleet: a.fleet, js: js, stream: stream, subject: a.fleet.eventSubject("a")}
	publish := func() {
		t.Helper()
		if _, err := p.publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	messages := func() uint64 {
		t.Helper()
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Msgs
	}
	a.write("a1")
	publish()
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish()
	if n := messages(); n != 0 {
		t.Errorf("it published %d messages again at once, want it to look now and then", n)
	}
	p.checked = time.Now().Add(-checkInterval)
	publish() // notices
	publish()
	if n := messages(); n != 1 {
		t.Errorf("there are %d messages, want the one that was lost", n)
	}
	for range 2 {
		p.checked, p.kept = time.Now().Add(-checkInterval), time.Now().Add(-keepPublished)
		publish()
	}
	if n := messages(); n != 1 || a.published != a.own[0].ID {
		t.Errorf("there are %d messages, and events up to %d are forgotten, want up to %d", n, a.published, a.own[0].ID)
	}
}

// eventStream is the stream as the one who runs NATS can change it.
func eventStream(t *testing.T, server *testpeer.NATS) (jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	conn, err := nats.Connect(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	var stream jetstream.Stream
	await(t, func() error { // a host makes it
		stream, err = js.Stream(t.Context(), "test-events")
		return err
	})
	return js, stream
}

// What a host stored reaches all others, each event once and in order: also what was stored while
// NATS was away, or the other host.
func TestEventsReachAllHostsOnce(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b, c := newTestHost(t, "a", servers), newTestHost(t, "b", servers), newTestHost(t, "c", servers)
	a.write("a1", "a2")
	b.write("b1")
	b.awaitFrom("a", "a1", "a2")
	c.awaitFrom("a", "a1", "a2")
	a.awaitFrom("b", "b1")
	c.stop()

	servers[0].Kill()
	a.write("a3")
	b.write("b2")
	servers[0].Start()
	b.awaitFrom("a", "a1", "a2", "a3")
	a.awaitFrom("b", "b1", "b2")
	a.stop()
	a.write("a4")
	a.start(servers)
	b.awaitFrom("a", "a1", "a2", "a3", "a4")

	c.start(servers)
	c.awaitFrom("a", "a1", "a2", "a3", "a4")
	c.awaitFrom("b", "b1", "b2")
	await(t, func() error {
		for _, m := range []*testHost{a, b, c} {
			if s := m.fleet.Status(); s.Problem != "" || s.Published.IsZero() || s.Taken.IsZero() {
				return fmt.Errorf("%s: %+v", m.name, s)
			}
		}
		return nil
	})
	for _, m := range []*testHost{a, b, c} {
		if n := m.log.Count("fleet events missed"); n > 0 {
			t.Errorf("%s says %d times that it missed events", m.name, n)
		}
		if got := m.from(m.name); len(got) > 0 {
			t.Errorf("%s has taken its own events: %q", m.name, got)
		}
	}
}

// A host whose disk is full takes what came meanwhile when it is not.
func TestEventsWaitForTheLedger(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	b.mu.Lock()
	b.broken = errors.New("the disk is full")
	b.mu.Unlock()
	a.write("a1")
	await(t, func() error {
		if problem := b.fleet.Status().Problem; !strings.Contains(problem, "the disk is full") {
			return fmt.Errorf("b's problem is %q", problem)
		}
		return nil
	})
	a.write("a2")
	b.mu.Lock()
	b.broken = nil
	b.mu.Unlock()
	b.awaitFrom("a", "a1", "a2")
}

// A host that got another name publishes under that what it has not published yet, and nothing again that
// it published under the former one.
func TestRenamedHostPublishesEachEventOnce(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	a.write("a1", "a2")
	b.awaitFrom("a", "a1", "a2")
	a.stop()
	a.write("a3")
	a.former, a.name = "a", "renamed"
	a.start(servers)
	b.awaitFrom("renamed", "a3")
	a.write("a4")
	b.awaitFrom("renamed", "a3", "a4")
	b.awaitFrom("a", "a1", "a2")
}

// A host whose ledger was replaced, by an empty one or by a copy, takes from the stream again what that
// lacks, also if the new ledger knows already how far the host has read.
func TestHostTakesAgainWhatItsLedgerLost(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	a.write("a1", "a2")
	b.awaitFrom("a", "a1", "a2")
	lose := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		clear(b.taken)
	}
	lose()
	a.write("a3")
	b.awaitFrom("a", "a1", "a2", "a3")

	b.stop()
	lose()
	b.start(servers)
	b.awaitFrom("a", "a1", "a2", "a3")
}

// Events that the stream had no room for until a host was back are gone for it. It says so once, and
// goes on with the rest.
func TestHostSaysThatItMissedEvents(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	a.write("a1")
	b.awaitFrom("a", "a1")
	b.stop()
	c := newTestHost(t, "c", servers)
	a.write("a2", "a3")
	c.awaitFrom("a", "a1", "a2", "a3")
	a.write("a4")
	c.awaitFrom("a", "a1", "a2", "a3", "a4")
	_, stream := eventStream(t, servers[0])
	if err := stream.Purge(t.Context(), jetstream.WithPurgeKeep(1)); err != nil {
		t.Fatal(err)
	}
	b.start(servers)
	b.awaitFrom("a", "a1", "a4")
	a.write("a5")
	b.awaitFrom("a", "a1", "a4", "a5")
	if n := b.log.Count(`msg="fleet events missed`); n != 1 || b.log.Count("member=a\n") == 0 {
		t.Errorf("b says %d times that it missed events, want once, of a:\n%s", n, b.log.String())
	}
	if n := c.log.Count("fleet events missed"); n > 0 {
		t.Error("c, which was there, says that it missed events")
	}
}

// What NATS had confirmed and lost all the same, as servers that lose their power can, is published
// again.
func TestEventsThatNATSLostArePublishedAgain(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	a.write("a1")
	b.awaitFrom("a", "a1")
	b.stop()
	a.write("a2")
	js, stream := eventStream(t, servers[0])
	await(t, func() error {
		info, err := stream.Info(t.Context())
		if err == nil && info.State.Msgs < 2 {
			err = errors.New("a2 was not published")
		}
		return err
	})
	last, err := stream.GetLastMsgForSubject(t.Context(), a.fleet.eventSubject("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), last.Sequence); err != nil {
		t.Fatal(err)
	}
	a.write("a3")
	b.start(servers)
	b.awaitFrom("a", "a1", "a2", "a3")

	if err := js.DeleteStream(t.Context(), "test-events"); err != nil { // all of it
		t.Fatal(err)
	}
	a.write("a4")
	b.awaitFrom("a", "a1", "a2", "a3", "a4")
}

// An event that no message has room for stays with its host, and holds up nothing.
func TestLargeEventStaysWithItsHost(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	large := make([]byte, 2<<20)
	rand.Read(large)
	small := strings.Repeat("a report of usual size ", 10_000)
	a.write("a1", string(large), small, small, small, "a3")
	b.awaitFrom("a", "a1", small, small, small, "a3")
	if n := b.log.Count("fleet events missed"); n > 0 {
		t.Error("b says that it missed events")
	}
}

// Who has an account of NATS and not the secret can add to the stream, and changes nothing.
func TestEventsOfStrangersAreIgnored(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	a.write("a1")
	b.awaitFrom("a", "a1")
	js, stream := eventStream(t, servers[0])
	stranger := &Fleet{Settings: Settings{Access: Access{Prefix: "test"}}, sealer: sealerOf(t, "fedcba9876543210fedcba9876543210", "test")}
	forged, err := stranger.sealBatch(&batch{Host: "a", After: 1, Records: []ledger.Record{{ID: 2000, Data: []byte("forged")}}})
	if err != nil {
		t.Fatal(err)
	}
	replayed, err := stream.GetLastMsgForSubject(t.Context(), a.fleet.eventSubject("a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		subject string
		content []byte
	}{
		{"test-events.new", forged},
		{a.fleet.eventSubject("b"), replayed.Data}, // a's events as those of another host
		{a.fleet.eventSubject("a"), forged},
		{a.fleet.eventSubject("a"), []byte{sealedVersion}},
		{a.fleet.eventSubject("a"), nil},
		{a.fleet.eventSubject("a"), replayed.Data},
	} {
		if _, err := js.Publish(t.Context(), m.subject, m.content); err != nil {
			t.Fatal(err)
		}
	}
	a.write("a2")
	b.write("b1")
	b.awaitFrom("a", "a1", "a2")
	a.awaitFrom("b", "b1")
}

// Events of a newer version wait until the host has been upgraded. The log says so once, however often
// the host looks.
func TestEventsOfANewerVersionWait(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	a.write("a1")
	b.awaitFrom("a", "a1")
	js, stream := eventStream(t, servers[0])
	await(t, func() error {
		if problem := b.fleet.Status().Problem; problem != "" {
			return errors.New(problem)
		}
		return nil
	})
	said := b.log.Count("fleet unreachable") // 1 if NATS was slow to start
	const subject = "test-events.newer"
	ack, err := js.Publish(t.Context(), subject, b.fleet.sealer.sealNewer(subject))
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		if problem := b.fleet.Status().Problem; !strings.Contains(problem, errNewer.Error()) {
			return fmt.Errorf("b's problem is %q", problem)
		}
		return nil
	})
	b.mu.Lock()
	begun := b.begun
	b.mu.Unlock()
	await(t, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.begun < begun+2 {
			return errors.New("b has not tried again")
		}
		return nil
	})
	if connected, not := b.log.Count("fleet connected"), b.log.Count("fleet unreachable")-said; connected != 1 || not != 1 {
		t.Errorf("the log says %d times that b is connected, and %d times that it is not, want once each", connected, not)
	}
	a.write("a2")
	if err := stream.DeleteMsg(t.Context(), ack.Sequence); err != nil { // as if b could read it now
		t.Fatal(err)
	}
	b.awaitFrom("a", "a1", "a2")
}

// A flood of events takes its time, so that it costs the network no more than that.
func TestFloodOfEventsIsPublishedAtItsRate(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a := newTestHost(t, "a", servers)
	await(t, func() error {
		if s := a.fleet.Status(); s.Published.IsZero() {
			return errors.New("a has not published yet")
		}
		return nil
	})
	js, stream := eventStream(t, servers[0])
	a.stop()
	noise := make([]byte, batchSize)
	rand.Read(noise)
	for range 4 {
		a.write(string(noise))
	}
	p := &publisher{Fleet: a.fleet, js: js, stream: stream, subject: a.fleet.eventSubject("a")}
	var wait time.Duration
	for range 4 {
		w, err := p.publish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wait += w
	}
	if want := 4 * batchSize * time.Second / publishRate; wait < want {
		t.Errorf("a waits for %s after 2 MiB, want %s", wait, want)
	}
}

func TestBatchIsStoredWhole(t *testing.T) {
	f := &Fleet{Settings: Settings{Access: Access{Prefix: "test"}}, sealer: sealerOf(t, secret, "test")}
	b := &batch{Host: "mx1", After: 3, Records: []ledger.Record{{ID: 5, Kind: "a", Data: []byte("b")}, {ID: 9, Kind: "c"}}}
	sealed, err := f.sealBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.openBatch(f.eventSubject("mx1"), sealed); err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("got %+v, %v, want %+v", got, err, b)
	}
	if _, err := f.openBatch(f.eventSubject("mx2"), sealed); err == nil {
		t.Error("a batch opens as one of another host")
	}
	if strings.Contains(f.eventSubject("mx1"), "mx1") {
		t.Error("the subject shows the host's name")
	}
	b.Records[1].ID = 5
	if sealed, err = f.sealBatch(b); err != nil {
		t.Fatal(err)
	}
	if _, err := f.openBatch(f.eventSubject("mx1"), sealed); err == nil {
		t.Error("a batch with two events of one number opens")
	}
	b.Records[1].ID = math.MaxInt64
	if sealed, err = f.sealBatch(b); err != nil {
		t.Fatal(err)
	}
	if _, err := f.openBatch(f.eventSubject("mx1"), sealed); err == nil {
		t.Error("a batch opens after which there is no number")
	}
}

// Hosts with the secret are trusted. Even so, none can make another one run out of memory, or stop.
func FuzzDecodeBatch(f *testing.F) {
	for _, b := range []*batch{
		{Host: "mx1"},
		{Host: "mx1", After: 3, Records: []ledger.Record{{ID: 5, Kind: "a", Data: []byte("b")}, {ID: 9, Kind: "c"}}},
	} {
		packed, err := encodeBatch(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		if b, err := decodeBatch(packed); err == nil && b.last() < b.After {
			t.Errorf("the batch ends at %d, before it begins at %d", b.last(), b.After)
		}
	})
}
