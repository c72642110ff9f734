package capture

import "slices"

const (
	// maxPending bounds the segments of a stream that are ahead of missing ones: four
	// flights of a server with a large certificate chain.
	maxPending = 256 << 10
	// segmentCost is the memory of a pending segment without its data.
	segmentCost = 128
	// maxWindow is the largest TCP window (RFC 7323, Section 2.3). A segment further
	// ahead does not belong to this connection.
	maxWindow = 1 << 30
)

// A stream reassembles one direction of a TCP connection. Of data that was sent more
// than once, the first copy counts.
//
// A stream waits for missing data until the other side acknowledges it with data of its
// own. Otherwise a reply could be delivered before the command that it replies to.
type stream struct {
	started     bool
	initial     uint32    // sequence number of the first byte
	next        uint32    // sequence number of the next byte to deliver
	pending     []segment // ahead of next, in order
	pendingCost int       // bytes of memory of pending
	ended       bool      // FIN was delivered
}

// add adds a segment and delivers the data that is now in order: segments with data, and
// segments without data for gaps.
func (s *stream) add(seg segment, deliver func(segment)) {
	if !s.started {
		s.started, s.initial, s.next = true, seg.start(), seg.start()
	}
	if seg.fin && seg.truncated > 0 { // the FIN is behind the truncated data
		fin := segment{at: seg.at, number: seg.number, seq: seg.end(), fin: true}
		seg.fin = false
		defer s.add(fin, deliver)
	}
	ahead := seqDiff(seg.start(), s.next)
	switch {
	case len(seg.data)+seg.truncated == 0 && !seg.fin, ahead > maxWindow, s.ended:
		return
	case ahead <= 0:
		s.deliver(seg, deliver)
		s.deliverPending(deliver)
	default:
		s.hold(seg)
		for s.pendingCost > maxPending {
			s.skipTo(s.pending[0].start(), deliver)
		}
	}
}

// skipTo gives up missing data before a sequence number.
func (s *stream) skipTo(seq uint32, deliver func(segment)) {
	for !s.ended && s.started && seqDiff(seq, s.next) > 0 {
		end := seq
		if len(s.pending) > 0 && seqDiff(end, s.pending[0].start()) > 0 {
			end = s.pending[0].start()
		}
		gap := segment{missing: seqDiff(end, s.next)}
		if len(s.pending) > 0 {
			gap.at = s.pending[0].at
		}
		s.next = end
		deliver(gap)
		s.deliverPending(deliver)
	}
}

// deliverPending delivers the pending segments that are now in order.
func (s *stream) deliverPending(deliver func(segment)) {
	for len(s.pending) > 0 && seqDiff(s.pending[0].start(), s.next) <= 0 {
		seg := s.pending[0]
		s.pending = slices.Delete(s.pending, 0, 1)
		s.pendingCost -= segmentCost + len(seg.data)
		s.deliver(seg, deliver)
	}
}

// deliver delivers the new data of a segment that starts at next or before.
func (s *stream) deliver(seg segment, deliver func(segment)) {
	duplicate := -seqDiff(seg.start(), s.next)
	if s.ended || duplicate > len(seg.data) {
		return
	}
	seg.data = seg.data[duplicate:]
	s.next += uint32(len(seg.data))
	if s.ended = seg.fin; s.ended {
		s.pending, s.pendingCost = nil, 0
	}
	if len(seg.data) > 0 || seg.fin {
		deliver(seg)
	}
}

// hold stores a segment that is ahead of missing data. It copies the data, since the
// packet's memory is reused.
func (s *stream) hold(seg segment) {
	i, found := slices.BinarySearchFunc(s.pending, seg.start(), func(p segment, seq uint32) int { return seqDiff(p.start(), seq) })
	if found && len(s.pending[i].data) >= len(seg.data) {
		return
	}
	seg.data = slices.Clone(seg.data)
	s.pending = slices.Insert(s.pending, i, seg)
	s.pendingCost += segmentCost + len(seg.data)
}
