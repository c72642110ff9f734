package handshake

// notTLS notes that a side's bytes are no records from here on. What came of the
// record that they were taken for counts with them.
func (r *Recorder) notTLS(s *stream, b []byte) {
	s.broken = len(r.t.Messages) + 1
	r.add(Message{From: s.side, Type: NotTLS})
	r.moreNotTLS(s, b)
}

func (r *Recorder) moreNotTLS(s *stream, b []byte) {
	if s.broken > len(r.t.Messages) {
		return // omitted
	}
	if r.t.NotTLS == nil {
		r.t.NotTLS, r.odd = make([]byte, 0, maxNotTLS), s
	}
	if r.odd == s {
		r.t.NotTLS = append(r.t.NotTLS, b[:min(len(b), maxNotTLS-len(r.t.NotTLS))]...)
	}
	m := &r.t.Messages[s.broken-1]
	m.Size += len(b)
	r.stamp(m)
}
