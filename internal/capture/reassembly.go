package capture

import "slices"

const (
	// maxWaiting bounds what a stream keeps of bytes that came too early: four
	// flights of a server with a large certificate chain.
	maxWaiting = 256 << 10
	// segmentCost is what a waiting segment costs beside its bytes.
	segmentCost = 128
	// maxWindow is the largest window of TCP (RFC 7323, Section 2.3); a segment
	// further ahead is not of this connection.
	maxWindow = 1 << 30
)

// A stream puts the segments of one direction in order. What was sent twice
// counts once, as it came first. Bytes that the capture lacks are waited for until
// the other side acknowledges them with data of its own: its words must not
// overtake what it had read, nor be read as an answer to what it had not.
type stream struct {
	known   bool
	initial uint32    // sequence number of the first byte
	next    uint32    // sequence number of the next byte to give
	waiting []segment // those ahead of next, in order
	kept    int       // what they cost
	ended   bool      // FIN was given
}

// A piece is what comes next in a stream.
type piece struct {
	segment
	lost int // bytes before the segment's that the capture lacks
}

// take takes a segment and gives what it brings in order.
func (s *stream) take(seg segment, give func(piece)) {
	if !s.known {
		s.known, s.initial, s.next = true, seg.first(), seg.first()
	}
	if seg.fin && seg.cut > 0 { // the end waits behind what was cut off
		end := segment{at: seg.at, number: seg.number, seq: seg.past(), fin: true}
		seg.fin = false
		defer s.take(end, give)
	}
	ahead := after(seg.first(), s.next)
	switch {
	case len(seg.data)+seg.cut == 0 && !seg.fin, ahead > maxWindow, s.ended:
		return
	case ahead <= 0:
		s.give(seg, give)
		s.drain(give)
	default:
		s.wait(seg)
		for s.kept > maxWaiting {
			s.skip(s.waiting[0].first(), give)
		}
	}
}

// skip gives up what is lacking before the sequence number to.
func (s *stream) skip(to uint32, give func(piece)) {
	for !s.ended && s.known && after(to, s.next) > 0 {
		end := to
		if len(s.waiting) > 0 && after(end, s.waiting[0].first()) > 0 {
			end = s.waiting[0].first()
		}
		lost := piece{lost: after(end, s.next)}
		if len(s.waiting) > 0 {
			lost.at = s.waiting[0].at
		}
		s.next = end
		give(lost)
		s.drain(give)
	}
}

// drain gives the waiting segments whose turn has come.
func (s *stream) drain(give func(piece)) {
	for len(s.waiting) > 0 && after(s.waiting[0].first(), s.next) <= 0 {
		seg := s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1)
		s.kept -= segmentCost + len(seg.data)
		s.give(seg, give)
	}
}

// give gives what is new in a segment that begins at next or before.
func (s *stream) give(seg segment, give func(piece)) {
	old := -after(seg.first(), s.next)
	if s.ended || old > len(seg.data) {
		return
	}
	seg.data = seg.data[old:]
	s.next += uint32(len(seg.data))
	if s.ended = seg.fin; s.ended {
		s.waiting, s.kept = nil, 0
	}
	if len(seg.data) > 0 || seg.fin {
		give(piece{segment: seg})
	}
}

// wait keeps a segment that came too early. Its data is copied: the packet's
// memory is used again.
func (s *stream) wait(seg segment) {
	i, found := slices.BinarySearchFunc(s.waiting, seg.first(), func(w segment, seq uint32) int { return after(w.first(), seq) })
	if found && len(s.waiting[i].data) >= len(seg.data) {
		return
	}
	seg.data = slices.Clone(seg.data)
	s.waiting = slices.Insert(s.waiting, i, seg)
	s.kept += segmentCost + len(seg.data)
}
