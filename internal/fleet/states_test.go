package fleet

import (
	"context"
	"maps"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/sessionticket"
)

// A learner is a host that shares what its fallback learns.
type learner struct {
	*Fleet
	conn    *connection
	decided []fallback.Decision
}

func newLearner(t *testing.T, name string, bucket *bucketInMemory) *learner {
	t.Helper()
	clock := time.Now()
	f, _ := member(t, name, &clock)
	l := &learner{Fleet: f, conn: &connection{bucket: bucket}}
	f.Now = time.Now
	f.Selector = fallback.New(sessionticket.Stock)
	f.Selector.Share(name)
	f.Decided = func(all []fallback.Decision) { l.decided = append(l.decided, all...) }
	return l
}

// share shares until stop is called.
func (l *learner) share(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.shareStates(ctx, natsInMemory{kv: l.conn, ctx: ctx}, nil) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// fails is a silent close of a sender, whose next handshake completes in another mode.
func (l *learner) fails(s fallback.Sender) {
	l.Selector.Learn(s, sessionticket.Stock, handshake.ClosedAfterFlight, time.Now())
	l.Selector.Learn(s, sessionticket.OwnWrite, handshake.Worked, time.Now())
	time.Sleep(2 * newsInterval)
	synctest.Wait()
}

func (l *learner) mode(s fallback.Sender) sessionticket.Mode {
	mode, _ := l.Selector.Next(s, time.Now())
	return mode
}

func TestHostsLearnOfEachOthersSenders(t *testing.T) {
	one, two := fallback.Sender{Addr: netip.MustParseAddr("192.0.2.7"), Fingerprint: "a"}, fallback.Sender{Addr: netip.MustParseAddr("198.51.100.7"), Fingerprint: "b"}
	synctest.Test(t, func(t *testing.T) {
		bucket := newBucketInMemory()
		mx1, mx2 := newLearner(t, "mx1", bucket), newLearner(t, "mx2", bucket)
		mx1.fails(one) // while it is alone
		mx1.fails(two)
		stop1 := mx1.share(t)
		stored := bucket.last
		if stored < 2 {
			t.Fatalf("%d states are stored", stored)
		}
		stop2 := mx2.share(t)
		for _, s := range []fallback.Sender{one, two} {
			if mx2.mode(s) != sessionticket.OwnWrite {
				t.Errorf("%s: %v", s.Addr, mx2.mode(s))
			}
		}
		if len(mx2.decided) != 2 || len(mx1.decided) != 0 {
			t.Errorf("mx1 decided %v, mx2 %v", mx1.decided, mx2.decided)
		}
		if bucket.last != stored {
			t.Errorf("mx2 stores again what it has just taken: %d, then %d", stored, bucket.last)
		}
		third := fallback.Sender{Addr: netip.MustParseAddr("203.0.113.7"), Fingerprint: "c"}
		if mx2.fails(third); mx1.mode(third) != sessionticket.OwnWrite {
			t.Errorf("what mx2 learned later: %v", mx1.mode(third))
		}
		stop2()

		// NATS loses all, and a host that knows nothing comes first.
		stop1()
		clear(bucket.entries)
		mx3 := newLearner(t, "mx3", bucket)
		defer mx3.share(t)()
		defer mx1.share(t)()
		for _, s := range []fallback.Sender{one, two, third} {
			if mx3.mode(s) != sessionticket.OwnWrite {
				t.Errorf("after NATS lost all, %s: %v", s.Addr, mx3.mode(s))
			}
		}
	})
}

// Who may use NATS and does not have the fleet's secret can copy and delete entries.
func TestCopiedStatesAreIgnored(t *testing.T) {
	s := fallback.Sender{Addr: netip.MustParseAddr("192.0.2.7"), Fingerprint: "a"}
	synctest.Test(t, func(t *testing.T) {
		bucket := newBucketInMemory()
		mx1 := newLearner(t, "mx1", bucket)
		mx1.fails(s)
		defer mx1.share(t)()
		for key, entry := range maps.Clone(bucket.entries) {
			bucket.change("another", entry.value, false, always)
			bucket.change("garbage", []byte("?"), false, always)
			bucket.change(key, nil, true, always)
		}
		last := bucket.last
		mx2 := newLearner(t, "mx2", bucket)
		defer mx2.share(t)()
		if mx2.mode(s) != sessionticket.Stock || len(mx2.decided) != 0 {
			t.Errorf("%v, %v", mx2.mode(s), mx2.decided)
		}
		if bucket.last != last {
			t.Errorf("mx2 stores %d entries", bucket.last-last)
		}
	})
}
