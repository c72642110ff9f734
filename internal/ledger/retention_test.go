package ledger

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

// kept is a store and its retention, with a clock that the test sets.
type kept struct {
	*store
	retention
	t testing.TB
}

func newKept(t testing.TB, r retention) *kept {
	t.Helper()
	s, _, err := openStore(empty(t), migrations())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	r.maxSize = cmp.Or(r.maxSize, DefaultMaxSize)
	return &kept{store: s, retention: r, t: t}
}

// reopen closes the file and opens it, as another start of the server.
func (k *kept) reopen() {
	k.t.Helper()
	k.store.close()
	s, _, err := openStore(k.path, migrations())
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(s.close)
	k.store = s
}

// note writes n handshakes with the time at.
func (k *kept) note(n int, at time.Time) {
	k.t.Helper()
	var events []event
	for i := range n {
		h := failure(fmt.Sprint(i))
		h.At, h.EHLO = at, fmt.Sprint("sender", i%10)
		events = append(events, h, decision{At: at}, state{Seen: at, Fingerprint: at.String()})
	}
	if err := k.write(events); err != nil {
		k.t.Fatal(err)
	}
}

// rounds runs n deletions at the given wall time.
func (k *kept) rounds(n int, now time.Time) {
	k.t.Helper()
	for range n {
		k.next = time.Time{}
		if err := k.byAge(k.store, now); err != nil {
			k.t.Fatal(err)
		}
	}
}

// hours lets the retention count n hours.
func (k *kept) hours(n int, now time.Time) {
	k.t.Helper()
	for range n {
		k.hour = time.Unix(0, 0)
		k.rounds(1, now)
	}
}

// expect compares the number of handshakes, and of the rows that depend on them.
func (k *kept) expect(what string, want int64) {
	k.t.Helper()
	for _, table := range []string{"handshakes", "failures", "decisions"} {
		if got, err := k.number("SELECT count(*) FROM " + table); err != nil || got != want {
			k.t.Errorf("%s: %d %s, %v; want %d", what, got, table, err, want)
		}
	}
}

// expectNothing checks that every table that grows is empty.
func (k *kept) expectNothing(what string) {
	k.t.Helper()
	k.expect(what, 0)
	for _, table := range []string{"diagnoses", "senders", "days", "weeks", "periods", "networks", "states"} {
		if got, err := k.number("SELECT count(*) FROM " + table); err != nil || got != 0 {
			k.t.Errorf("%s: %d %s, %v; want none", what, got, table, err)
		}
	}
}

// expectSums compares the counts of senders with the sums of their days.
func (k *kept) expectSums() {
	k.t.Helper()
	wrong, err := k.number(`SELECT count(*) FROM senders AS s
		WHERE s.failed <> (SELECT sum(failed) FROM days AS d WHERE d.sender = s.id)`)
	if err != nil || wrong != 0 {
		k.t.Errorf("the sums of %d senders are wrong, %v", wrong, err)
	}
	wrong, err = k.number(`SELECT count(*) FROM days AS d WHERE sender = 0
		AND failed <> (SELECT sum(failed) FROM days AS e WHERE e.day = d.day AND sender > 0)`)
	if err != nil || wrong != 0 {
		k.t.Errorf("the sums of %d days are wrong, %v", wrong, err)
	}
}

func TestOldRowsAreDeleted(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 90 * day})
	k.rounds(1, noon)
	k.note(30, noon)
	k.note(20, noon.Add(day))
	k.rounds(110, noon.Add(90*day))
	k.expect("after 90 days", 50)
	k.rounds(2, noon.Add(90*day+time.Hour))
	k.expect("an hour later", 20)
	k.expectSums()
	k.rounds(2, noon.Add(91*day+time.Hour))
	k.rounds(110, noon.Add(92*day))
	k.expectNothing("at the end")
}

func TestClockThatRunsAheadDeletesLittle(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 90 * day})
	k.rounds(1, noon)
	for d := range 90 {
		k.note(1, noon.Add(time.Duration(d)*day))
	}
	now := noon.Add(90 * day)
	k.rounds(110, now)
	k.expect("before", 90)
	k.rounds(6, now.Add(4*365*day)) // an hour
	k.expect("after an hour four years ahead", 84)
	k.rounds(110, now)
	k.expect("with the clock set right", 84)
}

func TestClockThatJumpsBackDeletesNothing(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 90 * day})
	k.rounds(1, noon)
	k.note(40, noon)
	k.rounds(110, noon.Add(-365*day))
	k.note(10, noon.Add(-365*day))
	k.rounds(110, noon.Add(-365*day))
	k.expect("a year back", 50)
}

// By their date they would stay for more than four years.
func TestRowsDatedInTheFutureAreDeleted(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 2 * day})
	k.hours(1, noon)
	k.note(40, noon.Add(4*365*day))
	k.hours(2*24, noon)
	k.expect("while the server ran for two days", 40)
	k.hours(2, noon)
	k.expectNothing("after that")
}

// A server may run for months without a session, and be started again. What it stores meanwhile is
// kept as long as everything else.
func TestFreshRowsAreKeptWhereNoHandshakeIs(t *testing.T) {
	t.Parallel()
	ahead := noon.Add(4 * 365 * day) // so that their date does not delete them
	for _, restarted := range []bool{false, true} {
		k := newKept(t, retention{maxAge: 2 * day})
		k.hours(3*24, noon)
		if restarted {
			k.reopen()
		}
		if err := k.write([]event{
			decision{At: ahead}, state{Seen: ahead}, refusal(ahead, "192.0.2.0/24", noMailbox), Event{At: ahead, Kind: Reloaded},
			Check{Kind: HostCheck, Name: "mx.example.org", At: ahead},
		}); err != nil {
			t.Fatal(err)
		}
		k.hours(2*24, noon)
		if got := k.others(); got != "1 1 1 2 1 1 " {
			t.Errorf("within two days, restarted %v: %s", restarted, got)
		}
		k.hours(2, noon)
		if got := k.others(); got != "0 0 0 0 0 0 " {
			t.Errorf("after two days, restarted %v: %s", restarted, got)
		}
	}
}

// others returns how many rows there are that depend on no handshake.
func (k *kept) others() (counts string) {
	k.t.Helper()
	for _, table := range []string{"decisions", "states", "refusals", "periods", "events", "checks"} {
		n, err := k.number("SELECT count(*) FROM " + table)
		if err != nil {
			k.t.Fatal(err)
		}
		counts += fmt.Sprint(n, " ")
	}
	return counts
}

func TestFileStaysBelowMaxSize(t *testing.T) {
	t.Parallel()
	k := newKept(t, retention{maxAge: 90 * day, maxSize: 11 << 20})
	largest := int64(0)
	for n := range 10 {
		var events []event
		for i := range 200 {
			h := failure(fmt.Sprintf("%d-%d", n, i))
			h.EHLO, h.Stopped = fmt.Sprintf("sender%d.%d", n, i), strings.Repeat("x", maxText)
			events = append(events, h)
		}
		if err := k.write(events); err != nil {
			t.Fatal(err)
		}
		if err := k.bySize(k.store); err != nil {
			t.Fatal(err)
		}
		largest = max(largest, k.size())
	}
	if largest > k.maxSize {
		t.Errorf("the file and its journal came to %d KiB, want %d KiB at most", largest>>10, k.maxSize>>10)
	}
	r := reader(t, k.path)
	newest, err := r.Handshakes(t.Context(), Filter{Limit: maxLimit})
	if err != nil || len(newest) < 300 || newest[0].Session != "9-199" {
		t.Errorf("%d handshakes are kept, %v; want the newest hundreds", len(newest), err)
	}
	t.Logf("%d of 2000 handshakes kept, the file and its journal came to %d KiB", len(newest), largest>>10)

	k.maxSize = 10 << 20 // as by another configuration
	if err := k.bySize(k.store); err != nil {
		t.Fatal(err)
	}
	if pages, err := k.number("PRAGMA page_count"); err != nil || pages*pageSize > k.maxSize*9/10-maxJournal {
		t.Errorf("the file does not shrink to a smaller size: %d KiB, %v", pages*pageSize>>10, err)
	}
}

// size returns the size of the files on disk.
func (k *kept) size() (n int64) {
	k.t.Helper()
	for _, end := range suffixes[:2] {
		info, err := os.Stat(k.path + end)
		if err != nil {
			k.t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}
