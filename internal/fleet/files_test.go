package fleet

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/testlog"
)

// A bucketInMemory is what NATS stores.
type bucketInMemory struct {
	mu      sync.Mutex
	last    uint64
	entries map[string]*entryInMemory
	readers []*messagesInMemory
}

type entryInMemory struct {
	jetstream.KeyValueEntry
	key      string
	value    []byte
	revision uint64
	removed  bool
}

func (e *entryInMemory) Value() []byte    { return e.value }
func (e *entryInMemory) Revision() uint64 { return e.revision }

var (
	errAway  = errors.New("NATS is away")
	errOther = &jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence, Code: 400}
)

// change stores an entry if the last one of its key is what the caller expects.
func (b *bucketInMemory) change(key string, value []byte, removed bool, expected func(last *entryInMemory) bool) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !expected(b.entries[key]) {
		return 0, errOther
	}
	b.last++
	entry := &entryInMemory{key: key, value: bytes.Clone(value), revision: b.last, removed: removed}
	b.entries[key] = entry
	for _, r := range b.readers {
		r.waiting <- entry
	}
	return entry.revision, nil
}

func always(*entryInMemory) bool { return true }

// A consumerInMemory brings what is stored, and then what is stored later.
type consumerInMemory struct {
	jetstream.Consumer
	messages *messagesInMemory
}

func (c *consumerInMemory) CachedInfo() *jetstream.ConsumerInfo {
	return &jetstream.ConsumerInfo{NumPending: uint64(len(c.messages.waiting))}
}

func (c *consumerInMemory) Messages(...jetstream.PullMessagesOpt) (jetstream.MessagesContext, error) {
	return c.messages, nil
}

type messagesInMemory struct {
	jetstream.MessagesContext
	ctx     context.Context
	prefix  string // of subjects
	waiting chan *entryInMemory
	brought uint64
	fail    func() (jetstream.Msg, error) // instead of the second one; nil: it does not fail
}

func (m *messagesInMemory) Next(...jetstream.NextOpt) (jetstream.Msg, error) {
	if m.fail != nil && m.brought == 1 {
		return m.fail()
	}
	select {
	case entry := <-m.waiting:
		m.brought++
		return &messageInMemory{entry: entry, subject: m.prefix + entry.key, number: m.brought, pending: uint64(len(m.waiting))}, nil
	case <-m.ctx.Done():
		return nil, m.ctx.Err()
	}
}

func (m *messagesInMemory) Stop() {}

type messageInMemory struct {
	jetstream.Msg
	entry           *entryInMemory
	subject         string
	number, pending uint64
}

func (m *messageInMemory) Subject() string { return m.subject }
func (m *messageInMemory) Data() []byte    { return m.entry.value }

func (m *messageInMemory) Headers() nats.Header {
	if m.entry.removed {
		return nats.Header{"KV-Operation": {"DEL"}}
	}
	return nil
}

func (m *messageInMemory) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Consumer: m.number, Stream: m.entry.revision}, NumPending: m.pending}, nil
}

// A connection is how one host sees the bucket.
type connection struct {
	jetstream.KeyValue
	bucket *bucketInMemory
	away   atomic.Bool
}

// A natsInMemory has one bucket, whatever its name, until ctx ends.
type natsInMemory struct {
	jetstream.JetStream
	kv  *connection
	ctx context.Context
}

func (n natsInMemory) KeyValue(context.Context, string) (jetstream.KeyValue, error) { return n.kv, nil }

func (n natsInMemory) CreateOrUpdateConsumer(_ context.Context, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	b := n.kv.bucket
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &messagesInMemory{ctx: n.ctx, prefix: strings.Replace(stream, "KV_", "$KV.", 1) + ".", waiting: make(chan *entryInMemory, 1000)}
	for _, entry := range slices.SortedFunc(maps.Values(b.entries), func(a, b *entryInMemory) int { return int(a.revision) - int(b.revision) }) {
		if entry.revision >= config.OptStartSeq {
			r.waiting <- entry
		}
	}
	b.readers = append(b.readers, r)
	return &consumerInMemory{messages: r}, nil
}

func (c *connection) Status(context.Context) (jetstream.KeyValueStatus, error) { return nil, nil }

func (c *connection) Create(_ context.Context, key string, value []byte, _ ...jetstream.KVCreateOpt) (uint64, error) {
	if c.away.Load() {
		return 0, errAway
	}
	revision, err := c.bucket.change(key, value, false, func(last *entryInMemory) bool {
		return last == nil || last.removed
	})
	if err != nil {
		err = jetstream.ErrKeyExists
	}
	return revision, err
}

func (c *connection) Update(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if c.away.Load() {
		return 0, errAway
	}
	return c.bucket.change(key, value, false, func(last *entryInMemory) bool { return last != nil && last.revision == revision })
}

func (c *connection) Put(_ context.Context, key string, value []byte) (uint64, error) {
	if c.away.Load() {
		return 0, errAway
	}
	return c.bucket.change(key, value, false, always)
}

// Delete deletes whatever the revision: the library does not show which one it was given. No test
// releases a lock that another host has.
func (c *connection) Delete(_ context.Context, key string, _ ...jetstream.KVDeleteOpt) error {
	if c.away.Load() {
		return errAway
	}
	_, err := c.bucket.change(key, nil, true, always)
	return err
}

func (c *connection) Get(_ context.Context, key string) (jetstream.KeyValueEntry, error) {
	if c.away.Load() {
		return nil, errAway
	}
	c.bucket.mu.Lock()
	defer c.bucket.mu.Unlock()
	if entry := c.bucket.entries[key]; entry != nil && !entry.removed {
		return entry, nil
	}
	return nil, jetstream.ErrKeyNotFound
}

// A sharer is a host with its files, and what changed in them because of others.
type sharer struct {
	*Files
	conn    *connection
	stop    func() // sharing
	changed []string
	logged  testlog.Log
}

func newBucketInMemory() *bucketInMemory {
	return &bucketInMemory{entries: make(map[string]*entryInMemory)}
}

// join returns a host that shares files below shared/, and has what others have stored.
func (b *bucketInMemory) join(t *testing.T, name string) *sharer {
	t.Helper()
	h := &sharer{conn: &connection{bucket: b}}
	f, err := New(Settings{
		Access: Access{Name: name, Prefix: "postern", Secret: []byte(secret)}, File: filepath.Join(t.TempDir(), "keys"),
		UseKeys: func([][32]byte) {}, Now: time.Now, Log: h.logged.Logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Files = f.Share(FileSettings{
		Folder:  t.TempDir(),
		Shares:  func(name string) bool { return strings.HasPrefix(name, "shared/") },
		Changed: func(name string) { h.changed = append(h.changed, name) },
	})
	t.Cleanup(func() { h.stop() })
	h.connect(t)
	return h
}

// connect makes a host share until cut.
func (h *sharer) connect(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.shareFiles(ctx, natsInMemory{kv: h.conn, ctx: ctx}, nil); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	h.stop = func() { cancel(); running.Wait() }
	synctest.Wait()
}

// cut cuts a host off from NATS.
func (h *sharer) cut() {
	h.conn.away.Store(true)
	h.stop()
}

// back makes a host that was cut off connect again.
func (h *sharer) back(t *testing.T) {
	t.Helper()
	h.conn = &connection{bucket: h.conn.bucket}
	h.connect(t)
}

// put writes a file and shares it.
func (h *sharer) put(t *testing.T, name, content string) {
	t.Helper()
	if _, err := h.write(sharedFile{Name: name, Content: []byte(content)}); err != nil {
		t.Fatal(err)
	}
	h.Put(t.Context(), name, []byte(content))
	synctest.Wait()
}

// requireFile checks what a host has in a file; "" is none.
func (h *sharer) requireFile(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(h.of.Folder, name))
	if want == "" && !errors.Is(err, fs.ErrNotExist) || want != "" && string(got) != want {
		t.Errorf("%s at %s: %q, %v, want %q", name, h.fleet.Name, got, err, want)
	}
}

func TestFilesAreAtEveryHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucketInMemory()
		one := b.join(t, "mx1")
		one.put(t, "shared/a/key", "a private key")
		one.put(t, "own", "not shared")
		two := b.join(t, "mx2")
		two.requireFile(t, "shared/a/key", "a private key")
		two.requireFile(t, "own", "")
		if info, err := os.Stat(filepath.Join(two.of.Folder, "shared/a/key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}

		two.put(t, "shared/a/key", "another")
		one.requireFile(t, "shared/a/key", "another")
		one.put(t, "shared/a/key", "another") // what is the same changes nothing
		if err := os.Remove(filepath.Join(one.of.Folder, "shared/a/key")); err != nil {
			t.Fatal(err)
		}
		one.Remove(t.Context(), "shared/a/key")
		synctest.Wait()
		two.requireFile(t, "shared/a/key", "")
		if want := []string{"shared/a/key", "shared/a/key"}; !slices.Equal(two.changed, want) || len(one.changed) != 1 {
			t.Errorf("changed at mx2: %v, want %v; at mx1: %v", two.changed, want, one.changed)
		}
		for key, entry := range b.entries {
			if strings.Contains(key, "key") || bytes.Contains(entry.value, []byte("another")) || bytes.Contains(entry.value, []byte("shared")) {
				t.Errorf("NATS can read %s: %q", key, entry.value)
			}
		}
	})
}

// A host takes only the files that concern it. A large one is not shared: it would be refused again
// and again.
func TestFilesThatConcernOneHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucketInMemory()
		one, two := b.join(t, "mx1"), b.join(t, "mx2")
		one.of.Shares = func(name string) bool { return strings.HasPrefix(name, "of mx1/") }
		one.put(t, "of mx1/key", "secret")
		two.requireFile(t, "of mx1/key", "")
		two.put(t, "shared/large", strings.Repeat("x", maxSharedFile+1))
		two.cut()
		two.put(t, "shared/larger", strings.Repeat("x", maxSharedFile+1))
		two.back(t)
		if len(b.entries) != 1 {
			t.Errorf("%d files are stored", len(b.entries))
		}
	})
}

// What a host writes while NATS is away is there for all later, and what others wrote before does not
// replace it. If NATS lost everything, hosts store what they have.
func TestFilesOfTheTimeWithoutNATS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucketInMemory()
		one, two := b.join(t, "mx1"), b.join(t, "mx2")
		one.put(t, "shared/a", "first")
		one.cut()
		two.put(t, "shared/b", "of mx2")
		one.put(t, "shared/a", "second")
		two.requireFile(t, "shared/a", "first")
		one.back(t)
		one.requireFile(t, "shared/b", "of mx2")
		for _, h := range []*sharer{one, two} {
			h.requireFile(t, "shared/a", "second")
		}
		if want := []string{"shared/b"}; !slices.Equal(one.changed, want) {
			t.Errorf("changed at mx1: %v, want %v", one.changed, want)
		}

		one.cut()
		lost := newBucketInMemory()
		one.conn.bucket = lost
		one.back(t)
		three := lost.join(t, "mx3")
		three.requireFile(t, "shared/a", "second")
		three.requireFile(t, "shared/b", "of mx2")
	})
}

// A host that connects again stores nothing that is stored already, and does not count as connected
// before it has stored the rest.
func TestAHostConnectsWithItsFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucketInMemory()
		one, two := b.join(t, "mx1"), b.join(t, "mx2")
		one.put(t, "shared/a", "x")
		two.cut()
		two.back(t)
		if b.last != 1 {
			t.Errorf("one file was stored %d times", b.last)
		}
		two.cut()
		two.put(t, "shared/b", "x")
		if err := two.shareFiles(t.Context(), natsInMemory{kv: two.conn, ctx: t.Context()}, nil); !errors.Is(err, errAway) {
			t.Errorf("without storing shared/b: %v", err)
		}
		if got, err := two.TryLock(t.Context(), "order"); got || err != nil {
			t.Errorf("a lock: %v, %v", got, err)
		}
	})
}

// A stored file comes under its own name only, and never outside of the folder.
func TestFilesWithOtherNamesAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBucketInMemory().join(t, "mx1")
		h.of.Shares = func(string) bool { return true }
		put := func(key, text string) {
			t.Helper()
			if err := h.fleet.store(t.Context(), h.conn, key, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"../outside", "/tmp/outside", "a/../../outside", ""} {
			put(h.fileKey(name), `{"name":"`+name+`","content":"eA=="}`)
		}
		put(h.fileKey("a"), `{"name":"b","content":"eA=="}`)
		put(h.fileKey("c"), `no JSON`)
		put(h.lockKey("d"), `{"name":"d","content":"eA=="}`)
		h.conn.Put(t.Context(), h.fileKey("e"), sealerOf(t, strings.Repeat("x", 32), "postern").seal(h.fileKey("e"), []byte(`{"name":"e"}`)))
		synctest.Wait()
		if len(h.changed) > 0 {
			t.Errorf("taken: %v", h.changed)
		}
		if entries, err := os.ReadDir(h.of.Folder); err != nil || len(entries) > 0 {
			t.Errorf("in the folder: %v, %v", entries, err)
		}
		put(h.fileKey("a"), `{"name":"a","content":"eA=="}`)
		synctest.Wait()
		h.requireFile(t, "a", "x")
	})
}

// A host whose disk takes no file says so, and goes on.
func TestFilesThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucketInMemory()
		one, two := b.join(t, "mx1"), b.join(t, "mx2")
		two.put(t, "shared", "no folder")
		one.put(t, "shared/a", "x")
		if two.logged.Count(`level=WARN msg="cannot keep a file of the fleet" entry=shared/a`) == 0 || len(two.changed) > 0 {
			t.Errorf("changed: %v, logged: %s", two.changed, two.logged.String())
		}
	})
}

// One host at a time has a lock, and when it gets it, it has what others wrote before.
func TestALockIsOneHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucketInMemory()
		one, two := b.join(t, "mx1"), b.join(t, "mx2")
		if err := one.Lock(t.Context(), "order"); err != nil {
			t.Fatal(err)
		}
		for _, h := range []*sharer{one, two} {
			if got, err := h.TryLock(t.Context(), "order"); got || err != nil {
				t.Errorf("%s: %v, %v", h.fleet.Name, got, err)
			}
		}
		if got, err := two.TryLock(t.Context(), "another order"); !got || err != nil {
			t.Errorf("another lock: %v, %v", got, err)
		}
		var order sync.WaitGroup
		order.Go(func() {
			if err := two.Lock(t.Context(), "order"); err != nil {
				t.Error(err)
			}
			two.requireFile(t, "shared/certificate", "ordered once")
		})
		time.Sleep(time.Hour) // on the test's clock: orders take long
		one.put(t, "shared/certificate", "ordered once")
		if err := one.Unlock(t.Context(), "order"); err != nil {
			t.Error(err)
		}
		order.Wait()
		if err := two.Unlock(t.Context(), "order"); err != nil {
			t.Error(err)
		}
		if err := two.Unlock(t.Context(), "order"); err == nil {
			t.Error("a lock is released twice")
		}
		two.Unlock(t.Context(), "another order")
	})
}

// A lock does not come before the files do.
func TestALockWaitsForTheFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucketInMemory()
		h := b.join(t, "mx1")
		b.readers = nil // NATS has accepted the lock, and the watch is late
		if got, err := h.TryLock(t.Context(), "order"); got || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", got, err)
		}
		if entry, err := h.conn.Get(t.Context(), h.lockKey("order")); err == nil {
			t.Errorf("the lock is left: %v", entry)
		}
		h.conn.away.Store(true) // NATS has just gone, which this host does not know yet
		if got, err := h.TryLock(t.Context(), "order"); got || !errors.Is(err, errAway) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// A host that dies, or loses NATS, with a lock keeps the others waiting for half a minute.
func TestALockOfADeadHostIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucketInMemory()
		one, two := b.join(t, "mx1"), b.join(t, "mx2")
		if err := one.Lock(t.Context(), "order"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		one.cut()
		began := time.Now()
		if err := two.Lock(t.Context(), "order"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < lockStale-lockBeat || took > lockStale+2*lockBeat {
			t.Errorf("taken over after %v", took)
		}
		one.conn.away.Store(false) // it learns that it has lost the lock, and leaves it alone
		time.Sleep(time.Minute)
		if err := one.Unlock(t.Context(), "order"); err != nil {
			t.Error(err)
		}
		if got, err := one.TryLock(t.Context(), "order"); got || err != nil {
			t.Errorf("two hosts have the lock: %v, %v", got, err)
		}
		if err := two.Unlock(t.Context(), "order"); err != nil {
			t.Error(err)
		}
	})
}

// Without NATS a host waits, since another one may be ordering, but not until its certificate ends.
func TestAHostWithoutNATSOrdersAloneInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBucketInMemory().join(t, "mx1")
		h.cut()
		if got, err := h.TryLock(t.Context(), "order"); got || err != nil {
			t.Errorf("at once: %v, %v", got, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), lockAlone/2)
		defer cancel()
		if err := h.Lock(ctx, "order"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after half a day: %v", err)
		}
		if err := h.Lock(t.Context(), "order"); err != nil {
			t.Fatal(err)
		}
		if got, err := h.TryLock(t.Context(), "order"); got || err != nil {
			t.Errorf("another caller: %v, %v", got, err)
		}
		if err := h.Unlock(t.Context(), "order"); err != nil {
			t.Error(err)
		}
		err := h.Lock(ctx, "order") // as the caller stops: it releases no lock that it was not given
		if free, _ := h.TryLock(t.Context(), "order"); free == (err == nil) {
			t.Errorf("Lock returned %v, and that the lock is free is %v", err, free)
		}
	})
}
