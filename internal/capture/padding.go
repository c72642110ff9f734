package capture

import (
	"bytes"
	"slices"
)

// maxPadding is the padding of an Ethernet frame with a TCP segment without data: 60 bytes
// less 14, 20 and 20 for the headers.
const maxPadding = 6

// doubtful returns how many zeros at the end of a segment may be no data: those of a short
// one are padding that a driver or a tunnel counted as data, and a longer one that has
// nothing else is a copy of which the content was not captured.
func doubtful(seg *segment) int {
	zeros := len(seg.data) - len(bytes.TrimRight(seg.data, "\x00"))
	if seg.truncated > 0 || zeros < len(seg.data) && len(seg.data) > maxPadding {
		return 0
	}
	return zeros
}

// settle delivers the doubtful segment, with its zeros or without.
func (s *stream) settle(isData bool, deliver func(segment)) {
	d := *s.doubtful
	s.doubtful = nil
	if !isData {
		d.data = d.data[:len(d.data)-s.zeros]
	}
	s.deliver(d, deliver)
}

// settleAtEnd settles the doubtful segment when nothing follows.
func (s *stream) settleAtEnd(deliver func(segment)) {
	if s.doubtful != nil {
		s.settle(false, deliver)
	}
}

// settleBy settles the doubtful segment, if there is one, by the side's next: that continues
// after data, and begins where padding did.
func (s *stream) settleBy(seg *segment, deliver func(segment)) (settled bool) {
	if s.doubtful == nil {
		return false
	}
	padding := s.doubtful.end() - uint32(s.zeros)
	switch {
	case seqDiff(seg.start(), padding) > 0:
		s.settle(true, deliver)
	case seqDiff(seg.end(), s.doubtful.end()) >= 0 && doubtful(seg) < len(seg.data), seg.fin:
		s.settle(false, deliver)
	}
	return s.doubtful == nil
}

// deliverUnlessDoubtful delivers a segment that starts at next or before, or holds it back
// if it ends in zeros that may be padding.
func (s *stream) deliverUnlessDoubtful(seg segment, deliver func(segment)) {
	zeros := min(doubtful(&seg), seqDiff(seg.end(), s.next))
	switch {
	case seg.fin, zeros <= 0:
		s.deliver(seg, deliver)
	case s.doubtful == nil:
		seg.data = slices.Clone(seg.data)
		s.doubtful, s.zeros = &seg, zeros
	}
}
