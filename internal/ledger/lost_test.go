package ledger

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A host takes back from the stream what a file had that was lost, each record once, and nothing that its
// new file has. Another host, which has all of it, gets what is new.
func TestHostTakesBackWhatALostLedgerHad(t *testing.T) {
	t.Parallel()
	l, other := fleetOf(t, 2)[0], opened(t, empty(t), Options{Host: "mx3"})
	l.AddHandshake(failure("A"))
	l.AddHandshake(success("B"))
	l.AddHandshake(with(failure("C"), func(h *Handshake) { h.EHLO = "other.sender.example" }))
	stream := waiting(t, l, 3)
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	l.AddHandshake(with(success("D"), func(h *Handshake) { h.At, h.EHLO = noon.Add(time.Minute), "other.sender.example" }))
	stream = append(stream, waiting(t, l, 1)...)
	for range 2 {
		if err := l.Take(t.Context(), "mx1", 0, stream); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []*Ledger{l, other} {
		if err := other.Take(t.Context(), "mx1", 0, stream); err != nil {
			t.Fatal(err)
		}
		r := reader(t, l.path)
		got := strings.Fields(sessions(t, r, Filter{Host: "mx1"}))
		if slices.Sort(got); !slices.Equal(got, []string{"A", "B", "C", "D"}) {
			t.Errorf("%s has the sessions %q of mx1", l.o.Host, got)
		}
		days, err := r.Days(t.Context(), Filter{})
		var full, failed int64
		for _, d := range days {
			full, failed = full+d.Full, failed+d.Failed
		}
		if err != nil || full != 2 || failed != 2 {
			t.Errorf("%s counts %+v, %v", l.o.Host, days, err)
		}
		failing, err := r.Failing(t.Context(), Span{To: noon.AddDate(1, 0, 0)}, maxLimit)
		if err != nil || len(failing) != 0 {
			t.Errorf("%s says that %+v fail, %v; both senders delivered after they failed", l.o.Host, failing, err)
		}
		hosts, err := r.Hosts(t.Context())
		if err != nil || slices.Contains(hosts[1:], hosts[0]) {
			t.Errorf("%s has the hosts %q, %v", l.o.Host, hosts, err)
		}
	}
	if rest, err := l.Own(t.Context(), 0, 1000); err != nil || len(rest) != 1 {
		t.Errorf("to be published are %v, %v; want the session of the new file", rest, err)
	}
}

// An alert that was open when the file was lost ends at all hosts, unless it does there already. One that
// begins in the new file with the same number goes on.
func TestAlertsOfALostLedgerEnd(t *testing.T) {
	t.Parallel()
	l, other := fleetOf(t, 1)[0], opened(t, empty(t), Options{Host: "mx3"})
	add := func(id int64, text string, ended time.Time) {
		l.add(alert{ID: id, Kind: "sender-stopped", Text: text, Since: noon, Seen: noon.Add(time.Hour), Ended: ended})
	}
	for i, text := range []string{"one", "two", "three"} {
		add(int64(i)+1, text, time.Time{})
	}
	add(3, "three", noon.Add(2*time.Hour))
	stream := waiting(t, l, 4)
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	add(1, "new", time.Time{})
	waiting(t, l, 1)
	if err := l.Take(t.Context(), "mx1", 0, stream); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.EndLost(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	own, err := l.Own(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Take(t.Context(), "mx1", 0, append(stream, own...)); err != nil {
		t.Fatal(err)
	}
	for l, want := range map[*Ledger]string{l: "new, three 14:00, two 13:00, one 13:00", other: "new, three 14:00, two 13:00"} {
		alerts, err := reader(t, l.path).Alerts(t.Context(), AlertFilter{})
		var got []string
		for _, a := range alerts {
			if a.Ended.IsZero() {
				got = append(got, a.Text)
			} else {
				got = append(got, a.Text+a.Ended.Format(" 15:04"))
			}
		}
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%s has the alerts %q, %v; want %s", l.o.Host, got, err, want)
		}
	}
}

// The clock of a host was days ahead when it numbered what it published, and is right when it begins a new
// file. The others get what it stores now all the same, and it gets back what it had.
func TestLedgerGoesOnAfterALostOneWhoseClockWasAhead(t *testing.T) {
	t.Parallel()
	l, other := fleetOf(t, 1)[0], opened(t, empty(t), Options{Host: "mx3"})
	l.AddHandshake(failure("A"))
	published := waiting(t, l, 1)
	published[0].ID = time.Now().Add(72 * time.Hour).UnixMicro()
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	l.AddHandshake(success("B"))
	waiting(t, l, 1)
	l.AddHandshake(success("C"))
	waiting(t, l, 2)
	for range 2 {
		if err := l.Follow(t.Context(), published[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	l.AddHandshake(success("D"))
	stream := append(published, waiting(t, l, 3)...)
	for i, r := range stream[1:] {
		if r.ID != stream[i].ID+1 {
			t.Fatalf("record %d has the number %d, after %d", i, r.ID, stream[i].ID)
		}
	}
	for _, l := range []*Ledger{l, other} {
		if err := l.Take(t.Context(), "mx1", 0, stream); err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(sessions(t, reader(t, l.path), Filter{Host: "mx1"}))
		if slices.Sort(got); fmt.Sprint(got) != "[A B C D]" {
			t.Errorf("%s has the sessions %q of mx1", l.o.Host, got)
		}
	}

	// Of a file that has read the stream some may be published that has a number: none gets another.
	l.PutMark([]byte("read"))
	before := waiting(t, l, 3)
	if err := l.Follow(t.Context(), stream[3].ID+1000); err != nil {
		t.Fatal(err)
	}
	l.AddHandshake(success("E"))
	after := waiting(t, l, 4)
	if after[2].ID != before[2].ID || after[3].ID != stream[3].ID+1001 {
		t.Errorf("the last two numbers are %d and %d", after[2].ID, after[3].ID)
	}
}

// A host that starts on an older copy of its file, while it cannot reach the others, numbers what it sees after
// all that it had published. The others get it once it reaches them.
func TestOthersGetWhatAnOlderCopySees(t *testing.T) {
	t.Parallel()
	path, other := empty(t), opened(t, empty(t), Options{Host: "mx3"})
	run := func(session string, records int) []Record {
		t.Helper()
		l := opened(t, path, Options{Host: "mx1"})
		l.AddHandshake(success(session))
		stored := waiting(t, l, records)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return stored
	}
	run("A", 1)
	older, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stream := run("B", 2)
	if err := os.WriteFile(path, older, mode); err != nil {
		t.Fatal(err)
	}
	stored := run("C", 2)
	published := stream[1].ID
	i := slices.IndexFunc(stored, func(r Record) bool { return r.ID > published })
	if i < 0 {
		t.Fatalf("the copy has the records %v, none after %d", stored, published)
	}
	if err := other.Take(t.Context(), "mx1", 0, append(stream, stored[i:]...)); err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(sessions(t, reader(t, other.path), Filter{Host: "mx1"}))
	if slices.Sort(got); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Errorf("the other host has the sessions %q of mx1", got)
	}
}
