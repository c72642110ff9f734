package handshake

// Sizes of the record layer (RFC 8446, Sections 5.1 and 5.2; RFC 5246, Section 6.2.3).
const (
	recordHeaderLen = 5
	maxPlaintext    = 1 << 14
	maxRecord       = 1<<14 + 2048 // content of an encrypted record of TLS 1.2, the longest
)

// Record types (RFC 8446, Section 5.1; 24 is heartbeat, RFC 6520).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordApplicationData  = 23
	recordHeartbeat        = 24
)

// alertLen is the length of an alert: level and description.
const alertLen = 2

// A stream is one side's bytes, cut into records as they come, whatever the pieces.
type stream struct {
	r    *Recorder
	side Side

	header [recordHeaderLen]byte
	have   int    // bytes of header that have come
	left   int    // bytes of the record's body that have not
	keep   int    // bytes of the body to keep
	body   []byte // those kept

	hand     assembler
	sealed   bool     // before TLS 1.3: ChangeCipherSpec has passed, all is encrypted from here
	finished bool     // and so has the first message after it
	epoch    int      // of the keys; see [Opener]
	padding  int      // of each encrypted record, as far as is known
	spoke    bool     // application data was noted
	passed   bool     // records of data passed that were not noted
	last     *Message // the last of them, if it may be an alert
	broken   int      // 1 + index of the message of bytes that are no records
	adrift   bool     // bytes were lost, and with them where records begin
	deaf     bool     // the same within the record at hand, for messages
}

func (s *stream) write(b []byte) {
	for len(b) > 0 {
		switch {
		case s.broken > 0:
			s.r.moreNotTLS(s, b)
			return
		case s.adrift:
			b = s.land(b)
		case s.have < recordHeaderLen:
			b = s.readHeader(b)
		default:
			b = s.readBody(b)
		}
	}
}

// readHeader takes one byte of a header, so that what is no TLS is known by its first.
func (s *stream) readHeader(b []byte) []byte {
	s.header[s.have] = b[0]
	s.have++
	if !s.plausible() {
		s.r.notTLS(s, s.header[:s.have])
		return b[1:]
	}
	if s.have == recordHeaderLen {
		s.begin()
	}
	return b[1:]
}

// plausible reports whether what has come of the header can be that of a record:
// its type, the first byte of its version, its length.
func (s *stream) plausible() bool {
	switch s.have {
	case 1:
		return s.header[0] >= recordChangeCipherSpec && s.header[0] <= recordHeartbeat
	case 2:
		return s.header[1] == 3
	case recordHeaderLen:
		return s.length() <= maxRecord
	}
	return true
}

func (s *stream) length() int { return int(s.header[3])<<8 | int(s.header[4]) }

// begin starts a record after its header.
func (s *stream) begin() {
	s.left, s.keep = s.length(), 0
	switch {
	case s.encrypted():
		if s.r.opener != nil {
			s.keep = s.left
		}
	case s.header[0] == recordAlert:
		s.keep = alertLen
	}
	if s.left == 0 {
		s.end()
	}
}

// encrypted reports whether the record is. An alert of two bytes is not: with keys
// it would be longer.
func (s *stream) encrypted() bool {
	switch s.header[0] {
	case recordApplicationData:
		return true
	case recordAlert:
		return s.sealed && s.length() > alertLen
	}
	return s.sealed
}

func (s *stream) readBody(b []byte) []byte {
	n := min(s.left, len(b))
	s.left -= n
	switch {
	case len(s.body) < s.keep:
		s.body = append(s.body, b[:min(n, s.keep-len(s.body))]...)
	case s.keep == 0 && s.header[0] == recordHandshake && !s.encrypted() && !s.deaf:
		s.hand.write(s, b[:n], false)
	}
	if s.left == 0 {
		s.end()
	}
	return b[n:]
}

// end is reached when a record has passed.
func (s *stream) end() {
	body := s.body
	s.have, s.body, s.deaf = 0, s.body[:0], false
	switch {
	case s.encrypted():
		s.r.sealedRecord(s, body)
	default:
		s.r.content(s, s.header[0], s.length(), body, false)
	}
}
