package handshake

import "time"

// Lose notes that n bytes that a side sent were not recorded, as when a capture lacks
// a packet. A record or a message whose header was recorded is told all the same,
// unread; of the rest one message of type [Unknown] has the size, and the side is
// followed again from a Feed that begins with a record.
func (r *Recorder) Lose(from Side, n int, at time.Time) {
	r.now = at.Sub(r.start)
	if from == Client {
		r.client.lose(n)
	} else {
		r.server.lose(n)
	}
}

func (s *stream) lose(n int) {
	if s.broken > 0 || s.adrift {
		return
	}
	inside := 0
	if s.have == recordHeaderLen {
		inside = min(n, s.left)
	}
	s.tear(inside)
	if n > inside {
		s.adrift, s.have, s.hand = true, 0, assembler{}
		s.r.lost(s, n-inside)
	}
}

// tear takes n lost bytes of the record at hand.
func (s *stream) tear(n int) {
	if n == 0 {
		return
	}
	s.left -= n
	clear := s.header[0] == recordHandshake && !s.encrypted()
	if clear && !s.deaf && !s.hand.lose(s, n) {
		s.hand, s.deaf = assembler{}, true
		s.r.lost(s, n+s.left)
	}
	if s.left == 0 {
		s.end()
	}
}

// lose takes n lost bytes of a message, and reports false if they hold a header.
func (a *assembler) lose(s *stream, n int) bool {
	if a.got < messageHeaderLen || a.got+n > a.size() {
		return false
	}
	a.torn, a.body = true, nil
	a.got += n
	a.pass(s, false)
	return true
}

// lost notes bytes of which nothing is known. Of the finished connection it is
// neither said nor kept.
func (r *Recorder) lost(s *stream, n int) {
	if !r.finished && !s.spoke {
		r.add(Message{From: s.side, Size: n})
	}
}

// land takes up a side again where b begins with the header of a record; else b is
// left out.
func (s *stream) land(b []byte) []byte {
	if len(b) < recordHeaderLen || b[1] != 3 || b[2] > 4 {
		return nil
	}
	length := int(b[3])<<8 | int(b[4])
	if b[0] < recordChangeCipherSpec || b[0] > recordHeartbeat || length == 0 || length > maxRecord {
		return nil
	}
	s.adrift = false
	return b
}
