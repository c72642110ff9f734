package capture

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Whatever order, cut and repetition segments come in, the stream is what was sent.
func TestStreamGivesWhatWasSent(t *testing.T) {
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
		s := &stream{known: true, initial: first, next: first}
		var got []byte
		for _, seg := range segments {
			s.take(seg, func(p piece) {
				if p.lost > 0 {
					t.Errorf("%d bytes are told as lost", p.lost)
				}
				got = append(got, p.data...)
			})
		}
		if !bytes.Equal(got, sent) || !s.ended || s.kept != 0 {
			t.Fatalf("got %d bytes of %d, ended %v, kept %d", len(got), len(sent), s.ended, s.kept)
		}
	}
}

// A sender whose first bytes never come does not fill the memory.
func TestStreamKeepsABoundedAmount(t *testing.T) {
	for _, size := range []int{1, 1000, 60_000} {
		s := &stream{known: true}
		total := 0
		give := func(p piece) { total += p.lost + len(p.data) }
		for i := range 5_000 {
			s.take(segment{seq: uint32(2 * size * (i + 1)), data: make([]byte, size)}, give)
			if s.kept > maxWaiting {
				t.Fatalf("%d bytes are kept", s.kept)
			}
		}
		if total+s.kept < 5_000*size {
			t.Errorf("of segments of %d bytes only %d are given", size, total)
		}
	}
}

// Bytes that a snap length cut off are lost when the other side has them; an end
// behind them is one.
func TestStreamWaitsBehindWhatWasCut(t *testing.T) {
	s := new(stream)
	var got []piece
	give := func(p piece) { got = append(got, p) }
	s.take(segment{seq: 100, data: []byte("abc"), cut: 7, fin: true}, give)
	if len(got) != 1 || string(got[0].data) != "abc" || s.ended {
		t.Fatalf("got %+v, ended %v", got, s.ended)
	}
	s.skip(111, give)
	if len(got) != 3 || got[1].lost != 7 || !got[2].fin || !s.ended {
		t.Errorf("got %+v, ended %v", got, s.ended)
	}
}
