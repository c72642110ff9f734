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
// than once, the copy counts that a receiver takes: see
// docs/decisions/0008-reassemble-by-acknowledgement.md.
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

	confirmed bool     // the other side has acknowledged the SYN
	otherSYN  *uint32  // sequence number after an earlier SYN that differs
	doubtful  *segment // the next one, which ends in zeros that are data or padding
	zeros     int      // how many
}

// begin sets the sequence number of the first byte.
func (s *stream) begin(seq uint32) {
	s.started, s.initial, s.next = true, seq, seq
	s.pending, s.pendingCost, s.doubtful = nil, 0, nil // of another numbering
}

// syn notes a SYN, which may differ from an earlier one: a server that forgot a connection
// chooses another number when it answers again. The client's acknowledgement decides.
func (s *stream) syn(seg *segment) {
	switch start := seg.start(); {
	case !s.started:
		s.begin(start)
	case start != s.initial && s.next == s.initial && !s.confirmed:
		other := s.initial
		s.otherSYN = &other
		s.begin(start)
	}
}

// acknowledged notes an acknowledgement by the other side.
func (s *stream) acknowledged(ack uint32, deliver func(segment)) {
	if !s.started { // this side was not captured, or not yet
		s.begin(ack)
	}
	if !s.confirmed && s.otherSYN != nil && ack == *s.otherSYN && s.next == s.initial {
		s.begin(ack)
	}
	s.confirmed = true
	if d := s.doubtful; d != nil && seqDiff(ack, s.next) > 0 {
		s.settle(seqDiff(ack, d.end()) >= 0, deliver)
		s.deliverPending(deliver)
	}
}

// add adds a segment and delivers the data that is now in order: segments with data, and
// segments without data for gaps.
func (s *stream) add(seg segment, deliver func(segment)) {
	if !s.started {
		s.begin(seg.start())
	}
	if seg.fin { // nothing follows that would tell
		seg.data = seg.data[:len(seg.data)-doubtful(&seg)]
	}
	if s.settleBy(&seg, deliver) {
		s.deliverPending(deliver)
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
		s.deliverUnlessDoubtful(seg, deliver)
		s.deliverPending(deliver)
	default:
		s.hold(seg)
		for s.pendingCost > maxPending {
			s.skipTo(s.pending[0].start(), deliver)
		}
	}
}

// lacks reports whether data before a sequence number is missing.
func (s *stream) lacks(seq uint32) bool {
	ahead := seqDiff(seq, s.next)
	return s.started && !s.ended && 0 < ahead && ahead <= maxWindow
}

// skipPending gives up missing data before all pending segments.
func (s *stream) skipPending(deliver func(segment)) {
	for len(s.pending) > 0 {
		s.skipTo(s.pending[0].start(), deliver)
	}
}

// skipTo gives up missing data before a sequence number.
func (s *stream) skipTo(seq uint32, deliver func(segment)) {
	if s.doubtful != nil && seqDiff(seq, s.next) > 0 {
		s.settle(seqDiff(seq, s.doubtful.end()) >= 0, deliver)
		s.deliverPending(deliver)
	}
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
	for len(s.pending) > 0 {
		end := s.next
		if s.doubtful != nil {
			end = s.doubtful.end()
		}
		seg := s.pending[0]
		if seqDiff(seg.start(), end) > 0 {
			return
		}
		s.pending = slices.Delete(s.pending, 0, 1)
		s.pendingCost -= segmentCost + len(seg.data)
		s.settleBy(&seg, deliver)
		s.deliverUnlessDoubtful(seg, deliver)
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
	if found && len(s.pending[i].data) >= len(seg.data) && (doubtful(&s.pending[i]) == 0 || doubtful(&seg) > 0) {
		return
	}
	seg.data = slices.Clone(seg.data)
	s.pending = slices.Insert(s.pending, i, seg)
	s.pendingCost += segmentCost + len(seg.data)
}
