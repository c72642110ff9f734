package handshake

import (
	"crypto/tls"

	"postern/internal/tlsrecord"
)

// alertLen is the length of an alert: level and description.
const alertLen = 2

// A stream is one side's bytes, cut into records as they come, whatever the pieces.
type stream struct {
	r    *Recorder
	side Side

	header [tlsrecord.HeaderLen]byte
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
		case s.have < tlsrecord.HeaderLen:
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
	if s.have == tlsrecord.HeaderLen {
		s.begin()
	}
	return b[1:]
}

// plausible reports whether what has come of the header can be that of a record:
// its type, the first byte of its version, its length.
func (s *stream) plausible() bool {
	switch s.have {
	case 1:
		return tlsrecord.IsType(s.header[0])
	case 2:
		return s.header[1] == 3
	case tlsrecord.HeaderLen:
		return s.length() <= tlsrecord.MaxCiphertextTLS12
	}
	return true
}

func (s *stream) length() int { return tlsrecord.Length(s.header[:]) }

// begin starts a record after its header.
func (s *stream) begin() {
	s.left, s.keep = s.length(), 0
	switch {
	case s.encrypted():
		if s.r.opener != nil {
			s.keep = s.left
		}
	case s.header[0] == tlsrecord.Alert:
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
	case tlsrecord.ApplicationData:
		return true
	case tlsrecord.Alert:
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
	case s.keep == 0 && s.header[0] == tlsrecord.Handshake && !s.encrypted() && !s.deaf:
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

// content notes what a record held, when it has passed. Handshake messages in the
// clear were noted as they came.
func (r *Recorder) content(s *stream, kind uint8, length int, body []byte, encrypted bool) {
	switch {
	case kind == tlsrecord.Handshake:
		if encrypted {
			s.hand.write(s, body, true)
		}
	case kind == tlsrecord.Alert:
		r.alert(s, length, body, encrypted)
	case kind == tlsrecord.ApplicationData:
		r.data(s, length, encrypted)
	case kind == tlsrecord.ChangeCipherSpec:
		r.add(Message{From: s.side, Type: TypeChangeCipherSpec, Size: length, Encrypted: encrypted})
		s.sealed = r.t.ServerHello != nil && r.t.ServerHello.Version < tls.VersionTLS13
	default:
		r.add(Message{From: s.side, Size: length, Encrypted: encrypted})
	}
}

func (r *Recorder) alert(s *stream, length int, body []byte, encrypted bool) {
	m := Message{From: s.side, Type: TypeAlert, Size: length, Encrypted: encrypted}
	if len(body) >= alertLen {
		m.Alert = &Alert{Fatal: body[0] == 2, Description: AlertDescription(body[1])}
	}
	r.add(m)
}

// data notes application data, the first of each side.
func (r *Recorder) data(s *stream, length int, encrypted bool) {
	if !s.spoke {
		s.spoke = true
		r.add(Message{From: s.side, Type: TypeApplicationData, Size: length, Encrypted: encrypted})
	}
}

// sealedRecord notes an encrypted record, opened if there is a key to it.
func (r *Recorder) sealedRecord(s *stream, body []byte) {
	if r.opener != nil && len(body) == s.length() {
		record := append(s.header[:tlsrecord.HeaderLen:tlsrecord.HeaderLen], body...)
		if content, kind, ok := r.opener.Open(s.side, s.epoch, record); ok {
			r.content(s, kind, len(content), content, true)
			return
		}
	}
	r.closed(s, Message{From: s.side, Size: r.contentLen(s.length()), Encrypted: true})
}

// closed notes an encrypted record that could not be opened. Before TLS 1.3 its type
// is in the clear; in TLS 1.3 it is told when all is known, by name.
func (r *Recorder) closed(s *stream, m Message) {
	switch s.header[0] {
	case tlsrecord.Alert:
		m.Type = TypeAlert
		r.add(m)
	case tlsrecord.Handshake:
		if !s.finished {
			// The first message under the new keys (RFC 5246, Section 7.4.9).
			s.finished = true
			m.Type, m.Inferred, m.Size = TypeFinished, true, finishedLen12
		}
		r.add(m)
	case tlsrecord.ApplicationData:
		if r.t.ServerHello != nil && r.t.ServerHello.Version < tls.VersionTLS13 {
			r.data(s, m.Size, true)
			return
		}
		r.unnamed(s, m)
	default:
		r.add(m)
	}
}

// maxAfter is how many records that could not be opened are kept after the client's
// Finished: tickets, and the first data of both sides.
const maxAfter = 8

// jssePadding is the zeros that JSSE, the TLS of Java, puts behind the content of
// each record (RFC 8446, Section 5.4).
const jssePadding = 16

// unnamed notes an encrypted record of TLS 1.3. A Finished of the length that
// JSSE's has tells that the client pads so, from there on.
func (r *Recorder) unnamed(s *stream, m Message) {
	s.last = nil
	if !r.finished && s.side == Client && m.Size == r.finishedLen()+jssePadding {
		s.padding = jssePadding
	}
	m.Size = max(m.Size-s.padding, 0)
	switch {
	case !r.finished:
		r.finished = s.side == Client && m.Size == r.finishedLen()
		r.add(m)
	case r.after < maxAfter:
		r.after++
		r.add(m)
	default:
		s.passed = true
		if m.Size == alertLen {
			last := m
			r.stamp(&last)
			s.last = &last
		}
	}
}

// message notes a handshake message. Body is as much of it as wants asked for.
func (r *Recorder) message(s *stream, code uint8, size int, body []byte, encrypted bool) {
	m := Message{From: s.side, Type: handshakeTypes[code], Size: size, Encrypted: encrypted}
	switch {
	case m.Type == TypeClientHello && s.side == Client && r.t.ClientHello == nil:
		r.readClientHello(body)
	case m.Type == TypeServerHello && s.side == Server:
		m.Type = r.readServerHello(body)
	case m.Type == TypeNewSessionTicket:
		m.Ticket = r.ticket(body)
	case m.Type == TypeFinished && encrypted && r.isTLS13():
		s.epoch = 1
		r.finished = r.finished || s.side == Client
	case m.Type == TypeKeyUpdate && encrypted:
		s.epoch++
	}
	r.add(m)
}

func (r *Recorder) isTLS13() bool {
	return r.t.ServerHello != nil && r.t.ServerHello.Version == tls.VersionTLS13
}

func (r *Recorder) add(m Message) {
	if len(r.t.Messages) == MaxMessages {
		r.t.Omitted++
		return
	}
	r.stamp(&m)
	r.t.Messages = append(r.t.Messages, m)
}

func (r *Recorder) stamp(m *Message) { m.At, m.Write = r.now, r.feeds }

// notTLS notes that a side's bytes are no records from here on. What came of the
// record that they were taken for counts with them.
func (r *Recorder) notTLS(s *stream, b []byte) {
	s.broken = len(r.t.Messages) + 1
	r.add(Message{From: s.side, Type: TypeNotTLS})
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
