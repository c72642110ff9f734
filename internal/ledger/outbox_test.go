package ledger

import (
	"fmt"
	"testing"
	"time"

	"postern/internal/testlog"
)

// waiting returns the records of l that wait to be published, when there are so many.
func waiting(t *testing.T, l *Ledger, n int) (all []Record) {
	t.Helper()
	for len(all) < n {
		var err error
		if all, err = l.Own(t.Context(), 0, 1000); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// What is not published survives a restart; what is published is gone, and its numbers are never
// used again, even in a new file.
func TestRecordsWaitUntilTheyArePublished(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := opened(t, path, Options{Host: "mx1"})
	l.AddHandshake(failure("A"))
	l.AddHandshake(success("B"))
	before := waiting(t, l, 2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, Options{Host: "mx1"})
	again := waiting(t, l, 2)
	if fmt.Sprint(again) != fmt.Sprint(before) {
		t.Fatalf("after a restart there are %v, want %v", again, before)
	}
	if rest, err := l.Own(t.Context(), again[0].ID, 1000); err != nil || len(rest) != 1 || rest[0].ID != again[1].ID {
		t.Errorf("after the first: %v, %v", rest, err)
	}
	if one, err := l.Own(t.Context(), 0, 1); err != nil || len(one) != 1 || one[0].ID != again[0].ID {
		t.Errorf("one at a time: %v, %v", one, err)
	}
	if err := l.Published(t.Context(), again[1].ID); err != nil {
		t.Fatal(err)
	}
	if rest, err := l.Own(t.Context(), 0, 1000); err != nil || len(rest) > 0 {
		t.Errorf("after they were published there are %v, %v", rest, err)
	}
	l.AddHandshake(success("C"))
	next := waiting(t, l, 1)
	fresh := opened(t, empty(t), Options{Host: "mx1"})
	fresh.AddHandshake(success("D"))
	first := waiting(t, fresh, 1)
	if next[0].ID <= again[1].ID || first[0].ID <= next[0].ID {
		t.Errorf("the numbers are %d, %d, then %d and in a new file %d; want them to rise", again[0].ID, again[1].ID, next[0].ID, first[0].ID)
	}
}

// Without a fleet nothing is kept for others, and what was is dropped.
func TestAloneNothingIsKeptForOthers(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := opened(t, path, Options{Host: "mx1"})
	l.AddHandshake(failure("A"))
	waiting(t, l, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, Options{})
	l.AddHandshake(failure("B"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "B")
	l = opened(t, path, Options{Host: "mx1"})
	if rest, err := l.Own(t.Context(), 0, 1000); err != nil || len(rest) > 0 {
		t.Errorf("there are %v, %v", rest, err)
	}
}

func TestMarkIsKept(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := opened(t, path, Options{Host: "mx1"})
	if mark, err := l.Mark(t.Context()); err != nil || mark != nil {
		t.Errorf("the first mark is %q, %v", mark, err)
	}
	l.PutMark([]byte("one"))
	l.PutMark([]byte("two"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if mark, err := opened(t, path, Options{Host: "mx1"}).Mark(t.Context()); err != nil || string(mark) != "two" {
		t.Errorf("after a restart the mark is %q, %v, want two", mark, err)
	}
}

// A host that cannot publish for long gives up the oldest of what waits, and says so once until it
// can publish again.
func TestTheOldestAreNotPublishedIfTooManyWait(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	l := opened(t, empty(t), Options{Host: "mx1", Log: log.Logger()})
	const room = 2 << 10
	fill := func() (last int64) {
		t.Helper()
		for i := range 3 * maxBatch {
			l.AddHandshake(success(fmt.Sprintf("%d-%d", time.Now().UnixNano(), i)))
		}
		all := waiting(t, l, 3*maxBatch)
		err := l.wait(t.Context(), "making room", func(w *writer) error {
			small := retention{maxSize: room * outboxPart}
			w.makeRoom(small.byOutbox)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		last = all[len(all)-1].ID
		rest, err := l.Own(t.Context(), 0, 1000)
		if err != nil || len(rest) == len(all) || len(rest) > 0 && rest[len(rest)-1].ID != last {
			t.Errorf("of %d records there are %d, %v, want the last ones", len(all), len(rest), err)
		}
		return last
	}
	last := fill()
	lost := l.Stats().Unpublished
	if n := log.Count("too many events wait for other hosts"); n != 1 || lost == 0 {
		t.Errorf("the log says it %d times, and %d are counted; want once, and some", n, lost)
	}
	if err := l.Published(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	fill()
	if n := log.Count("too many events wait for other hosts"); n != 2 || l.Stats().Unpublished <= lost {
		t.Errorf("after it could publish, the log says it %d times in all, and %d are counted; want twice, and more", n, l.Stats().Unpublished)
	}
}
