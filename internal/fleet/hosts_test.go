package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/testlog"
	"postern/internal/testpeer"
)

// says is what a host with a secret stores at a time of NATS' clock, when its own clock is ahead.
func says(t *testing.T, h Host, secret string, at time.Time, ahead time.Duration) *item {
	t.Helper()
	h.Said = at.Add(ahead)
	value, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	key := hostKey(h.Name)
	return &item{key: key, value: sealerOf(t, secret, "postern").seal(key, value), created: at}
}

// member returns a host of the fleet, whose clock says clock, and its log.
func member(t *testing.T, name string, clock *time.Time) (*Fleet, *testlog.Log) {
	t.Helper()
	log := new(testlog.Log)
	f, err := New(Settings{
		Access: Access{Name: name, Prefix: "postern", Secret: []byte(secret)}, File: filepath.Join(t.TempDir(), "keys"),
		UseKeys: func([][32]byte) {}, Now: func() time.Time { return *clock }, Log: log.Logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		f.note(part, nil)
	}
	return f, log
}

// Clocks are compared by when NATS stored what hosts said, so that it does not matter how far that of
// NATS differs, or when this host hears of the others.
func TestHostsAreSeenByTheClockOfTheOneThatLooks(t *testing.T) {
	clock := epoch.Add(time.Hour)
	f, _ := member(t, "mx1", &clock)
	natsTime := clock.Add(-7 * time.Minute)
	if self := f.hear(says(t, f.self(), secret, natsTime, 7*time.Minute)); !self {
		t.Error("mx1 does not know itself")
	}
	if self := f.hear(says(t, Host{Name: "mx2"}, secret, natsTime.Add(-5*time.Second), 7*time.Minute)); self {
		t.Error("mx1 takes mx2 for itself")
	}
	f.hear(says(t, Host{Name: "mx3"}, secret, natsTime.Add(-20*time.Minute), 10*time.Minute))
	clock = clock.Add(10 * time.Second)
	var got []string
	for _, m := range Judge(f.Hosts(), clock) {
		got = append(got, fmt.Sprint(m.Name, " ", clock.Sub(m.Seen), " ", m.Ahead(), " ", m.Health))
	}
	want := []string{"mx1 0s 0s shares", "mx2 15s 0s shares", "mx3 20m10s 3m0s missing"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	clock = clock.Add(hostsKept)
	if hosts := f.Hosts(); len(hosts) != 1 {
		t.Errorf("after three days of silence: %+v", hosts)
	}
}

func TestHostWithAnotherSecretIsNamedWhileItIsThere(t *testing.T) {
	clock := epoch
	f, _ := member(t, "mx1", &clock)
	f.hear(says(t, Host{Name: "mx9"}, strings.Repeat("x", 32), clock, 0))
	if hosts := f.Hosts(); len(hosts) != 2 || hosts[1].Name != "mx9" || hosts[1].Unreadable != errSecret.Error() {
		t.Errorf("hosts: %+v", hosts)
	}
	f.hear(says(t, Host{Name: "mx9", Version: "v1"}, secret, clock, 0))
	if hosts := f.Hosts(); len(hosts) != 2 || hosts[1].Unreadable != "" || hosts[1].Version != "v1" {
		t.Errorf("with the secret: %+v", hosts)
	}
	f.hear(says(t, Host{Name: "mx9"}, strings.Repeat("x", 32), clock, 0))
	clock = clock.Add(2 * missingAfter)
	if hosts := f.Hosts(); len(hosts) != 1 {
		t.Errorf("it is gone: %+v", hosts)
	}
}

// A host that crashed and was taken out is missing until an operator makes the others forget it. Only who
// has the secret can.
func TestHostThatWasTakenOutIsForgotten(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a, b := newTestHost(t, "a", servers), newTestHost(t, "b", servers)
	knows := func(want ...string) {
		t.Helper()
		await(t, func() error {
			var got []string
			for _, h := range a.fleet.Hosts() {
				got = append(got, h.Name)
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("a knows %q, want %q", got, want)
			}
			return nil
		})
	}
	knows("a", "b")
	b.stop()
	from := Access{Servers: []string{servers[0].URL}, Prefix: "test", Secret: []byte(secret)}
	if err := Forget(t.Context(), from, "c"); !errors.Is(err, ErrUnknownHost) {
		t.Errorf("a host that never was: %v", err)
	}
	stranger := from
	stranger.Secret = []byte(strings.Repeat("x", 32))
	if err := Forget(t.Context(), stranger, "b"); err != nil {
		t.Error(err)
	}
	await(t, func() error {
		if hosts := a.fleet.Hosts(); len(hosts) != 2 || hosts[1].Unreadable == "" {
			return fmt.Errorf("with another secret: %+v", hosts)
		}
		return nil
	})
	for _, want := range []error{nil, ErrUnknownHost} {
		if err := Forget(t.Context(), from, "b"); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	knows("a")
	b.start(servers)
	knows("a", "b")
}

// Whoever can log in to NATS can store anything, and has no secret.
func TestStrangersInNATSFillNoMemoryAndNoPage(t *testing.T) {
	clock := epoch
	f, _ := member(t, "mx1", &clock)
	for i := range 3 * maxUnreadable {
		f.hear(&item{key: hostKey(fmt.Sprint("junk", i)), value: []byte("junk"), created: clock})
	}
	other := says(t, Host{Name: "mx2"}, secret, clock, 0)
	f.hear(&item{key: hostKey("mx3"), value: other.value, created: clock}) // under another name
	for _, key := range []string{"", "%", hostKey("a\nb"), hostKey("\x1b[31m"), hostKey(strings.Repeat("x", 300))} {
		f.hear(&item{key: key, value: other.value, created: clock})
	}
	f.hear(other)
	hosts := f.Hosts()
	if len(hosts) != 2+maxUnreadable {
		t.Errorf("%d hosts are known, want %d", len(hosts), 2+maxUnreadable)
	}
	if !slices.ContainsFunc(hosts, func(h Host) bool { return h.Name == "mx2" && h.Unreadable == "" }) {
		t.Error("strangers displace a host that has the secret")
	}
}

// Two hosts with one name, as of containers, would take what the other shares for their own.
func TestAnotherHostWithTheSameNameIsAProblem(t *testing.T) {
	clock := epoch
	f, log := member(t, "mx1", &clock)
	before := f.self()
	before.Started = epoch.Add(-time.Hour)
	f.hear(says(t, before, secret, clock, 0)) // this host, before it was restarted
	f.hear(says(t, f.self(), secret, clock, 0))
	earlier := says(t, before, secret, clock, 0)
	clock = clock.Add(time.Second)
	f.hear(earlier) // stored once more, by who has no secret
	f.hear(&item{key: hostKey("mx1"), value: []byte("junk"), created: clock})
	if problem := f.Status().Problem; problem != "" {
		t.Errorf("with no other host of this name: %s", problem)
	}
	for range 3 {
		f.hear(says(t, before, secret, clock, 0))
	}
	if status := f.Status(); !strings.Contains(status.Problem, "another host has the same name") || !strings.Contains(status.Remedy, "set name in [fleet]") {
		t.Errorf("problem: %q, remedy: %q", status.Problem, status.Remedy)
	}
	if n := log.Count("another host of the fleet has the name of this one"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log.String())
	}
	clock = clock.Add(2 * missingAfter)
	if problem := f.Status().Problem; problem != "" {
		t.Errorf("after the other one has its own name: %s", problem)
	}
}

// A host that cannot say that it is there does not say that it shares, however often it tries. Who has
// an account of NATS can fill the bucket.
func TestFullBucketIsLoggedOnce(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a := newTestHost(t, "a", servers)
	await(t, func() error {
		if problem := a.fleet.Status().Problem; problem != "" {
			return errors.New(problem)
		}
		return nil
	})
	js, _ := eventStream(t, servers[0])
	kv, err := js.KeyValue(t.Context(), "test-hosts")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{maxHostSize - 200, 1} {
		for i := 0; err == nil; i++ {
			_, err = kv.Put(t.Context(), fmt.Sprint("filling", size, "-", i), make([]byte, size))
		}
		err = nil
	}
	b := newTestHost(t, "b", servers)
	await(t, func() error {
		if problem := b.fleet.Status().Problem; !strings.Contains(problem, "maximum bytes exceeded") {
			return fmt.Errorf("b's problem is %q", problem)
		}
		return nil
	})
	if n := b.log.Count("fleet connected"); n > 0 {
		t.Errorf("b says %d times that it is connected:\n%s", n, b.log.String())
	}
}

// A busyBucket calls stop while a value is being stored.
type busyBucket struct {
	*connection
	stop func()
}

func (b busyBucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	revision, err := b.connection.Put(ctx, key, value)
	b.stop()
	time.Sleep(time.Millisecond) // until all have noticed
	return revision, err
}

type busyNATS struct {
	natsInMemory
	kv busyBucket
}

func (n busyNATS) KeyValue(context.Context, string) (jetstream.KeyValue, error) { return n.kv, nil }

// A host that is stopped while it says that it is there says all the same that it stops.
func TestHostSaysThatItStops(t *testing.T) {
	for range 20 { // what ends first is left to chance
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			clock := epoch
			f, _ := member(t, "mx1", &clock)
			conn := &connection{bucket: newBucketInMemory()}
			if err := f.shareHosts(ctx, busyNATS{natsInMemory{kv: conn, ctx: ctx}, busyBucket{conn, stop}}, nil); err != nil {
				t.Fatal(err)
			}
			var said Host
			key := hostKey("mx1")
			if err := f.decode(&item{key: key, value: conn.bucket.entries[key].value}, &said); err != nil || !said.Stopped {
				t.Errorf("the last that mx1 said is %+v, %v", said, err)
			}
		})
	}
}
