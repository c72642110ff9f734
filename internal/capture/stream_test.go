package capture

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Segments of any size, in any order, duplicated and overlapping.
func TestStreamIsReassembled(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		sent := make([]byte, 1+random.IntN(3000))
		for i := range sent {
			sent[i] = byte(random.Uint32())
		}
		first := random.Uint32()
		var segments []segment
		for at := 0; at < len(sent); {
			from, to := max(0, at-random.IntN(50)), min(len(sent), at+1+random.IntN(200))
			seg := segment{seq: first + uint32(from), data: sent[from:to], fin: to == len(sent)}
			segments = append(segments, seg, seg)
			at = to
		}
		random.Shuffle(len(segments), func(i, j int) { segments[i], segments[j] = segments[j], segments[i] })
		s := &stream{started: true, initial: first, next: first}
		var got []byte
		for _, seg := range segments {
			s.add(seg, func(next segment) {
				if next.missing > 0 {
					t.Errorf("%d bytes are missing", next.missing)
				}
				got = append(got, next.data...)
			})
		}
		if !bytes.Equal(got, sent) || !s.ended || s.pendingCost != 0 {
			t.Fatalf("got %d bytes of %d, ended %v, pending %d", len(got), len(sent), s.ended, s.pendingCost)
		}
	}
}

// A stream whose first bytes never arrive does not fill the memory.
func TestPendingSegmentsAreBounded(t *testing.T) {
	for _, size := range []int{1, 1000, 60_000} {
		s := &stream{started: true}
		total := 0
		deliver := func(seg segment) { total += seg.missing + len(seg.data) }
		for i := range 5_000 {
			s.add(segment{seq: uint32(2 * size * (i + 1)), data: make([]byte, size)}, deliver)
			if s.pendingCost > maxPending {
				t.Fatalf("%d bytes are pending", s.pendingCost)
			}
		}
		if total+s.pendingCost < 5_000*size {
			t.Errorf("of segments of %d bytes only %d were delivered", size, total)
		}
	}
}

// Data that a snap length truncated is missing once the other side acknowledges it. The
// FIN behind it is delivered after it.
func TestFINWaitsBehindTruncatedData(t *testing.T) {
	s := new(stream)
	var got []segment
	deliver := func(seg segment) { got = append(got, seg) }
	s.add(segment{seq: 100, data: []byte("abc"), truncated: 7, fin: true}, deliver)
	if len(got) != 1 || string(got[0].data) != "abc" || s.ended {
		t.Fatalf("got %+v, ended %v", got, s.ended)
	}
	s.skipTo(111, deliver)
	if len(got) != 3 || got[1].missing != 7 || !got[2].fin || !s.ended {
		t.Errorf("got %+v, ended %v", got, s.ended)
	}
}

// A second SYN with another number while segments are pending drops them: they have places
// in another numbering.
func TestSecondSYNDropsPendingSegments(t *testing.T) {
	s := new(stream)
	deliver := func(segment) {}
	first, second := segment{seq: 1000, syn: true}, segment{seq: 5000, syn: true}
	s.syn(&first)
	s.add(segment{seq: 1101, data: []byte("ahead")}, deliver)
	s.syn(&second)
	s.skipPending(deliver)
	if len(s.pending) > 0 || s.pendingCost != 0 || s.next != 5001 {
		t.Errorf("%d segments pending, next %d", len(s.pending), s.next)
	}
}
