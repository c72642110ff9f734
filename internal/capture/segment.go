package capture

import (
	"net/netip"
	"time"
)

// A segment is a TCP segment (RFC 9293, Section 3.1) of one packet.
type segment struct {
	from, to netip.AddrPort
	at       time.Time
	number   int // of its packet in the file, from 1
	seq, ack uint32
	syn, fin bool
	rst      bool
	acks     bool // ack counts
	data     []byte
	cut      int // bytes at the end of data that were sent and not captured
}

// first is the sequence number of the segment's first byte of data: SYN has one of its own.
func (s *segment) first() uint32 {
	if s.syn {
		return s.seq + 1
	}
	return s.seq
}

// past is the sequence number after the segment's last byte of data.
func (s *segment) past() uint32 { return s.first() + uint32(len(s.data)+s.cut) }

// after is how far sequence number a is after b; negative: before (RFC 9293, Section 3.4).
func after(a, b uint32) int { return int(int32(a - b)) }
