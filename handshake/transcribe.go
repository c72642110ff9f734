package handshake

// Transcript returns what was recorded so far. It stays as it is when the recorder
// goes on.
func (r *Recorder) Transcript() *Transcript {
	t := *r.t
	t.Messages = append(make([]Message, 0, len(r.t.Messages)+2), r.t.Messages...)
	r.finish(&t)
	return &t
}

// finish makes a transcript of t, which is the recorder's own or a copy.
func (r *Recorder) finish(t *Transcript) {
	passed := len(t.Messages)
	first, second := &r.client, &r.server
	if a, b := first.last, second.last; a != nil && b != nil && b.Write < a.Write {
		first, second = second, first
	}
	first.rest(t)
	second.rest(t)
	t.End.After = r.endMark
	if t.End.How == Open || r.endMark == passed {
		t.End.After = len(t.Messages)
	}
	if r.isTLS13() {
		r.name(t)
	}
	r.conclude(t)
}

// rest adds what came of a message or a record that is not whole, or a last record
// that was not noted.
func (s *stream) rest(t *Transcript) {
	m, ok := s.partial()
	if !ok && s.last != nil {
		m, ok = *s.last, true
	}
	switch {
	case !ok:
	case len(t.Messages) == MaxMessages:
		t.Omitted++
	default:
		t.Messages = append(t.Messages, m)
	}
}

// partial is the message that has begun and is not whole.
func (s *stream) partial() (m Message, ok bool) {
	m = Message{From: s.side}
	s.r.stamp(&m)
	inRecord := s.have == recordHeaderLen
	switch {
	case s.broken > 0:
		return m, false
	case s.hand.got >= messageHeaderLen:
		m.Type, m.Size = handshakeTypes[s.hand.header[0]], s.hand.size()
		m.Missing = m.Size - s.hand.got
	case s.hand.got > 0:
		m.Size, m.Missing = messageHeaderLen, messageHeaderLen-s.hand.got
	case inRecord && s.encrypted():
		m.Size, m.Missing, m.Encrypted = s.r.contentLen(s.length()), s.left, true
	case inRecord:
		m.Type, m.Size, m.Missing = clearTypes[s.header[0]], s.length(), s.left
	case s.have > 0:
		m.Size, m.Missing = recordHeaderLen, recordHeaderLen-s.have
	default:
		return m, false
	}
	return m, true
}

// clearTypes are what records in the clear hold. Of a handshake message nothing is
// known before its header came.
var clearTypes = map[uint8]Type{
	recordChangeCipherSpec: ChangeCipherSpec,
	recordAlert:            Alert,
}
