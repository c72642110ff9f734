package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/fallback"
	"postern/internal/testlog"
)

// A host is killed in the middle of taking: what it had of that batch is gone, and counts once when
// the batch comes again.
func TestNothingCountsTwiceAfterACrash(t *testing.T) {
	t.Parallel()
	mx1, mx2 := newMember(t, empty(t), "mx1"), newMember(t, empty(t), "mx2")
	defer mx1.close()
	defer mx2.close()
	var events []event
	for i := range 10 {
		events = append(events, failure(fmt.Sprint(i)))
	}
	if err := mx1.write(events); err != nil {
		t.Fatal(err)
	}
	crash := []string{
		`CREATE TRIGGER crash BEFORE INSERT ON handshakes WHEN new.session = '7' BEGIN SELECT raise(ABORT, 'crash'); END`,
		`DROP TRIGGER crash`,
	}
	if err := mx2.exec(crash[0]); err != nil {
		t.Fatal(err)
	}
	all := mx1.recorded(t, 0)
	if err := mx2.takes(t, mx1, all[:5]); err != nil {
		t.Fatal(err)
	}
	if err := mx2.takes(t, mx1, all); err == nil {
		t.Fatal("there was no crash")
	}
	if n, err := mx2.number(`SELECT failed FROM senders`); n != 5 || err != nil {
		t.Errorf("after the crash %d count, %v; want the 5 before it", n, err)
	}
	if err := mx2.exec(crash[1]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := mx2.takes(t, mx1, all); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{`SELECT failed FROM senders`, `SELECT count(*) FROM handshakes`, `SELECT sum(failed) FROM days WHERE sender < 0`,
		`SELECT sum(count) FROM periods WHERE minutes = 30`, `SELECT failed FROM networks`} {
		if n, err := mx2.number(query); n != 10 || err != nil {
			t.Errorf("%s: %d, %v; want 10", query, n, err)
		}
	}
}

// A report counts once, wherever it came and however often. One that another process added is
// shared too.
func TestReportAtTwoHostsCountsOnce(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	if _, err := fleet[0].AddReport(t.Context(), signed("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := AddReport(t.Context(), fleet[1].path, signed("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := AddReport(t.Context(), fleet[1].path, signed("2")); err != nil {
		t.Fatal(err)
	}
	for i, l := range fleet {
		other := fleet[1-i]
		records := waiting(t, other, 1)
		for range 2 {
			if err := l.Take(t.Context(), other.o.Host, 0, records); err != nil {
				t.Fatal(err)
			}
		}
		found, err := reader(t, l.path).Reports(t.Context(), ReportFilter{})
		if err != nil || len(found) != 2 {
			t.Errorf("%s has %d reports, %v; want 2", l.o.Host, len(found), err)
		}
		for _, f := range found {
			if whole, err := reader(t, l.path).Report(t.Context(), f.ID); err != nil || string(whole.Content) != string(signed(f.ReportID).Content) {
				t.Errorf("%s has report %s as %q, %v", l.o.Host, f.ReportID, whole.Content, err)
			}
		}
		if rest, err := l.Own(t.Context(), 0, 1000); err != nil || slices.ContainsFunc(rest, func(r Record) bool { return strings.Contains(string(r.Data), other.o.Host) }) || len(rest) > 2 {
			t.Errorf("%s passes on what it took: %v, %v", l.o.Host, rest, err)
		}
	}
}

// Of a newer version there can be records that this one does not know. They are left out and
// logged once, and what comes after them is taken.
func TestRecordsOfANewerVersionAreLeftOut(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	l := opened(t, empty(t), Options{Host: "mx1", Log: log.Logger()})
	good, err := json.Marshal(recordOf(failure("A")))
	if err != nil {
		t.Fatal(err)
	}
	records := []Record{
		{1, "weather", []byte(`{}`)},
		{2, handshakeRecord, []byte(`{"outcome":"better"}`)},
		{3, handshakeRecord, []byte(`{"outcome":9,"network":"192.0.2.0/24"}`)},
		{4, handshakeRecord, good},
	}
	if err := l.Take(t.Context(), "mx2", 0, records); err != nil {
		t.Fatal(err)
	}
	if got := sessions(t, reader(t, l.path), Filter{}); got != "A" {
		t.Errorf("the sessions are %s", got)
	}
	if taken, err := l.Taken(t.Context()); err != nil || len(taken) != 1 || taken["mx2"] != 4 {
		t.Errorf("taken up to %v, %v", taken, err)
	}
	if n := log.Count("ignoring records of another host"); n != 1 {
		t.Errorf("%d lines in the log, want 1", n)
	}
}

// Records that do not fit into the tables, or are of more hosts than are kept, are left out and logged
// once. They hold up neither the others nor what this host records.
func TestRecordsThatCannotBeStoredAreLeftOut(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	l := opened(t, empty(t), Options{Host: "mx1", Log: log.Logger()})
	good := func(session string) []byte {
		data, err := json.Marshal(recordOf(failure(session)))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	records := []Record{{1, handshakeRecord, good("A")}, {2, reportRecord, []byte(`{}`)}, {3, handshakeRecord, good("B")}}
	if err := l.Take(t.Context(), "mx2", 0, records); err != nil {
		t.Error(err)
	}
	for i := range maxHosts {
		if err := l.Take(t.Context(), fmt.Sprint("renamed", i), 0, []Record{{1, nameRecord, []byte(`{}`)}}); err != nil {
			t.Fatal(err)
		}
	}
	l.AddHandshake(failure("own"))
	if err := l.Take(t.Context(), "mx2", 0, []Record{{4, handshakeRecord, good("C")}}); err != nil {
		t.Error(err)
	}
	r := reader(t, l.path)
	until(t, "stored", func() bool { return sessions(t, r, Filter{Host: Here}) == "own" })
	if got := sessions(t, r, Filter{Host: "mx2"}); len(strings.Fields(got)) != 3 {
		t.Errorf("the sessions of mx2 are %s, want A, B and C", got)
	}
	if taken, err := l.Taken(t.Context()); err != nil || len(taken) != maxHosts-1 || taken["mx2"] != 4 {
		t.Errorf("%d hosts were taken, mx2 up to %d, %v", len(taken), taken["mx2"], err)
	}
	if n := log.Count("ignoring records of another host"); n != 1 {
		t.Errorf("%d lines in the log, want 1", n)
	}
	if n := log.Count("level=ERROR"); n > 0 {
		t.Errorf("the log has errors:\n%s", log.String())
	}
}

// A file that was deleted while the server runs is replaced by an empty one. What the host takes next
// follows on what the old file had: if the new one took it, what is before could not be taken any more.
func TestReplacedLedgerTakesFromTheBeginning(t *testing.T) {
	t.Parallel()
	other, l := fleetOf(t, 2)[0], opened(t, empty(t), Options{Host: "mx3"})
	for _, session := range []string{"A", "B"} {
		other.AddHandshake(failure(session))
	}
	all := waiting(t, other, 2)
	if err := l.Take(t.Context(), "mx1", 0, all[:1]); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	if err := l.Take(t.Context(), "mx1", all[0].ID, all[1:]); !errors.Is(err, ErrReplaced) {
		t.Errorf("taking what follows: %v, want %v", err, ErrReplaced)
	}
	l.AddHandshake(failure("own"))
	if err := l.Take(t.Context(), "mx1", 0, all); err != nil {
		t.Fatal(err)
	}
	r := reader(t, l.path)
	until(t, "stored", func() bool { return sessions(t, r, Filter{Host: Here}) == "own" })
	if got := strings.Fields(sessions(t, r, Filter{Host: "mx1"})); len(got) != 2 {
		t.Errorf("the sessions of mx1 are %s, want A and B", got)
	}
}

// A host gets another name, as one does that had the name of another host. What it recorded under the
// former name is its own, and not another host's; what a host records that has the name later is.
func TestRenamedHostTakesNothingOfItsOwn(t *testing.T) {
	t.Parallel()
	path := empty(t)
	recent := func(h Handshake) Handshake { return with(h, func(h *Handshake) { h.At = time.Now() }) } // a restart forgets what is old
	l := opened(t, path, Options{Host: "mx1"})
	l.AddHandshake(recent(failure("A")))
	own := waiting(t, l, 1)
	if former, err := l.Former(t.Context()); err != nil || former != "" {
		t.Errorf("before, its former name is %q, %v", former, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, Options{Host: "mx2"})
	if former, err := l.Former(t.Context()); err != nil || former != "mx1" {
		t.Errorf("its former name is %q, %v", former, err)
	}
	positions, err := l.Taken(t.Context())
	if err != nil || positions["mx1"] != own[0].ID {
		t.Errorf("taken up to %v, %v, want mx1 up to %d", positions, err, own[0].ID)
	}
	if err := l.Take(t.Context(), "mx1", positions["mx1"], own); err != nil {
		t.Error(err)
	}
	r := reader(t, path)
	if got := sessions(t, r, Filter{}); got != "A" {
		t.Errorf("there are the sessions %s, want A once", got)
	}

	next := opened(t, empty(t), Options{Host: "mx1"})
	next.AddHandshake(recent(failure("B")))
	if err := l.Take(t.Context(), "mx1", positions["mx1"], waiting(t, next, 1)); err != nil {
		t.Error(err)
	}
	for host, want := range map[string]string{"mx1": "B", "mx2": "A"} {
		if got := sessions(t, r, Filter{Host: host}); got != want {
			t.Errorf("the sessions of %s are %s, want %s", host, got, want)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, Options{Host: "mx1"}) // again, though another host had that name meanwhile
	l.AddHandshake(recent(failure("C")))
	holds(t, path, "C")
	if hosts, err := r.Hosts(t.Context()); err != nil || !slices.Equal(hosts, []string{"mx1"}) {
		t.Errorf("there are the hosts %q, %v, want the name once", hosts, err)
	}
}

// What a host sends in the name of none is not stored.
func TestRecordsOfNoHostAreNotTaken(t *testing.T) {
	t.Parallel()
	l := fleetOf(t, 1)[0]
	record := []Record{{1, nameRecord, []byte(`{}`)}}
	for _, name := range []string{"", strings.Repeat("a", maxHostName+1)} {
		if err := l.Take(t.Context(), name, 0, record); err == nil {
			t.Errorf("%q is taken for a host", name)
		}
	}
	if taken, err := l.Taken(t.Context()); err != nil || len(taken) > 0 {
		t.Errorf("taken up to %v, %v", taken, err)
	}
}

// What this host took over from another one the rest have from that one.
func TestAdoptedDecisionsAreNotPassedOn(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := opened(t, path, Options{Host: "mx1"})
	decided := fallback.Decision{At: time.Now(), Kind: fallback.FellBack, Network: netip.MustParsePrefix("192.0.2.0/24"), Why: "host mx2: it failed"}
	l.AddAdopted([]fallback.Decision{decided})
	l.AddHandshake(failure("A"))
	for _, r := range waiting(t, l, 1) {
		if r.Kind == decisionRecord {
			t.Errorf("%s is for the other hosts", r.Data)
		}
	}
	all, err := reader(t, path).Decisions(t.Context(), Filter{})
	if err != nil || len(all) != 1 || all[0].Host != "mx1" || all[0].Why != decided.Why {
		t.Errorf("there are the decisions %+v, %v", all, err)
	}
}
