package ledger

import (
	"context"
	"slices"
	"testing"
	"time"
)

// However the writer happens to collect a sender's handshakes, its counts are the same.
func TestABatchCountsAsItsHandshakesDoAlone(t *testing.T) {
	at := func(minutes int, change func(*Handshake)) event {
		return with(success("s"), func(h *Handshake) {
			h.At = noon.Add(time.Duration(minutes) * time.Minute)
			if change != nil {
				change(h)
			}
		})
	}
	resumed := func(h *Handshake) { h.Outcome = Resumed }
	failed := func(h *Handshake) { *h = with(failure("f"), func(f *Handshake) { f.At = h.At }) }
	other := func(h *Handshake) { h.EHLO = "other.sender.example" }
	plaintext := func(h *Handshake) { h.Outcome, h.Fingerprint = Plaintext, "" }
	probe := func(h *Handshake) { h.Probe = true }
	events := []event{
		at(5, nil), at(9, resumed), at(2, resumed), at(7, other), at(8, probe), at(10, failed),
		at(11, plaintext), at(12, plaintext), at(4, other), at(3, failed), at(1, nil),
	}
	type counts struct {
		ehlo, fingerprint                                               string
		full, resumed, failed, plaintext, returned, first, seen, newest int64
	}
	stored := func(batches ...[]event) []counts {
		path := empty(t)
		s, _, err := openStore(path, migrations())
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		for _, batch := range batches {
			if err := s.write(batch); err != nil {
				t.Fatal(err)
			}
		}
		q := &query{}
		q.add(`SELECT ehlo, fingerprint, full, resumed, failed, plaintext, returned, first, seen, last FROM senders ORDER BY ehlo, fingerprint`)
		all, err := rows(context.Background(), s.db, q, func(scan scanner) (c counts, err error) {
			err = scan(&c.ehlo, &c.fingerprint, &c.full, &c.resumed, &c.failed, &c.plaintext, &c.returned, &c.first, &c.seen, &c.newest)
			return c, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	together, alone := stored(events), stored(slices.Collect(slices.Chunk(events, 1))...)
	if !slices.Equal(together, alone) {
		t.Errorf("in one batch\n%+v\nalone\n%+v", together, alone)
	}
	minute := func(m int) int64 { return unixMilli(noon.Add(time.Duration(m) * time.Minute)) }
	want := []counts{
		{"mail.sender.example", "", 0, 0, 0, 2, 2, minute(11), minute(12), 8},
		{"mail.sender.example", success("").Fingerprint, 2, 2, 2, 0, 0, minute(1), minute(10), 11},
		{"other.sender.example", success("").Fingerprint, 2, 0, 0, 0, 0, minute(4), minute(7), 9},
	}
	if !slices.Equal(together, want) {
		t.Errorf("got\n%+v\nwant\n%+v", together, want)
	}
}
