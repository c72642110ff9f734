package handshake

import (
	"crypto/tls"

	"postern/internal/tlsrecord"
)

// alertLen is the length of an alert: level and description.
const alertLen = 2

// A stream cuts the bytes of one side into records, however they arrive.
type stream struct {
	r    *Recorder
	side Side

	header [tlsrecord.HeaderLen]byte
	have   int    // bytes of header received
	left   int    // bytes of the record's body not yet received
	holed  bool   // some of its bytes are missing
	keep   int    // bytes of the body to keep
	body   []byte // the bytes kept

	messages assembler

	// Before TLS 1.3 everything after ChangeCipherSpec is encrypted, Finished first.
	changedCipher, finished bool

	epoch       int      // of the keys; see [Opener]
	padding     int      // of each encrypted record, as far as it is known
	dataNoted   bool     // application data was noted
	dataSkipped bool     // records of data passed that were not noted
	lastSkipped *Message // the last of them, if it may be an alert

	ssl2         ssl2Hello
	notTLS       int  // 1 + the index of the message that counts bytes that are not records
	unsynced     bool // bytes were lost, and where the next record begins is not known
	skipMessages bool // the same for messages within the current record
}

func (s *stream) write(b []byte) {
	for len(b) > 0 {
		switch {
		case s.notTLS > 0:
			b = s.r.moreNotTLS(s, b)
		case s.unsynced:
			b = s.resync(b)
		case s.have < tlsrecord.HeaderLen:
			b = s.readHeader(b)
		default:
			b = s.readBody(b)
		}
	}
}

// readHeader takes one byte of a header, so that bytes that are not TLS are known by the
// first of them.
func (s *stream) readHeader(b []byte) []byte {
	s.header[s.have] = b[0]
	s.have++
	if !s.plausible() {
		s.r.beginNotTLS(s, s.header[:s.have])
		return b[1:]
	}
	if s.have == tlsrecord.HeaderLen {
		s.begin()
	}
	return b[1:]
}

// plausible reports whether the part of the header that has been received can be that
// of a record: its type, the first byte of its version, its length.
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
	s.left, s.keep, s.holed = s.length(), 0, false
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

// encrypted reports whether the record is encrypted. An alert of two bytes is not: it
// would be longer. A longer one is, even if the messages before it are missing.
func (s *stream) encrypted() bool {
	switch s.header[0] {
	case tlsrecord.ApplicationData:
		return true
	case tlsrecord.Alert:
		return s.length() > alertLen
	case tlsrecord.Handshake:
		// Without the ServerHello, the version is not known. In TLS 1.3 the second
		// ClientHello can follow here; it is longer than a Finished message.
		return s.changedCipher && (s.r.t.ServerHello != nil || s.length() <= maxFinishedRecord)
	}
	return s.changedCipher
}

func (s *stream) readBody(b []byte) []byte {
	n := min(s.left, len(b))
	s.left -= n
	switch {
	case len(s.body) < s.keep:
		s.body = append(s.body, b[:min(n, s.keep-len(s.body))]...)
	case s.keep == 0 && s.header[0] == tlsrecord.Handshake && !s.encrypted() && !s.skipMessages:
		s.messages.write(s, b[:n], false)
	}
	if s.left == 0 {
		s.end()
	}
	return b[n:]
}

// end finishes a record.
func (s *stream) end() {
	body := s.body
	s.have, s.body, s.skipMessages = 0, s.body[:0], false
	if s.encrypted() {
		s.r.encryptedRecord(s, body)
	} else {
		s.r.content(s, s.header[0], s.length(), body, false)
	}
}

// content notes the content of a record that was in the clear or opened. Handshake
// messages in the clear were noted as they arrived.
func (r *Recorder) content(s *stream, contentType uint8, length int, body []byte, encrypted bool) {
	switch contentType {
	case tlsrecord.Handshake:
		if encrypted {
			s.messages.write(s, body, true)
		}
	case tlsrecord.Alert:
		r.alert(s, length, body, encrypted)
	case tlsrecord.ApplicationData:
		r.data(s, length, encrypted)
	case tlsrecord.ChangeCipherSpec:
		r.add(Message{From: s.side, Type: TypeChangeCipherSpec, Size: length, Encrypted: encrypted})
		s.changedCipher = r.isBeforeTLS13() || r.t.ServerHello == nil && r.t.View == OnWire
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
	if !s.dataNoted {
		s.dataNoted = true
		r.add(Message{From: s.side, Type: TypeApplicationData, Size: length, Encrypted: encrypted})
	}
}

// encryptedRecord notes an encrypted record, opened if there is a key for it.
func (r *Recorder) encryptedRecord(s *stream, body []byte) {
	if s.header[0] == tlsrecord.ApplicationData {
		r.exchange.add(s.side, min(r.contentLen(s.length()), s.length()-1-16), s.holed)
	}
	if r.opener != nil && len(body) == s.length() {
		record := append(s.header[:tlsrecord.HeaderLen:tlsrecord.HeaderLen], body...)
		if content, contentType, ok := r.opener.Open(s.side, s.epoch, record); ok {
			r.content(s, contentType, len(content), content, true)
			return
		}
	}
	r.unopened(s, Message{From: s.side, Size: r.contentLen(s.length()), Encrypted: true})
}

// unopened notes an encrypted record that could not be opened. Before TLS 1.3 its type
// is in the clear; in TLS 1.3 it is inferred when the recording ends.
func (r *Recorder) unopened(s *stream, m Message) {
	switch s.header[0] {
	case tlsrecord.Alert:
		m.Type = TypeAlert
		r.add(m)
	case tlsrecord.Handshake:
		if !s.finished {
			// The first message after ChangeCipherSpec (RFC 5246, Section 7.4.9).
			s.finished = true
			m.Type, m.Inferred, m.Size = TypeFinished, true, finishedLenTLS12
		}
		r.add(m)
	case tlsrecord.ApplicationData:
		if r.isBeforeTLS13() {
			r.data(s, m.Size, true)
			return
		}
		r.unopenedTLS13(s, m)
	default:
		r.add(m)
	}
}

// maxFinishedRecord is the longest record with a Finished message before TLS 1.3: an
// explicit IV, the message, a tag of 48 bytes and padding.
const maxFinishedRecord = 16 + finishedLenTLS12 + 48 + 16

// maxAfterFinished bounds the records that could not be opened and are kept after the
// client's Finished: tickets, and the first data of both sides.
const maxAfterFinished = 8

// jssePadding is the number of zeros that JSSE, the TLS library of Java, adds to the
// content of each record (RFC 8446, Section 5.4).
const jssePadding = 16

// unopenedTLS13 notes an encrypted record of TLS 1.3. If the client's Finished has the
// length of JSSE's, the client pads from there on.
func (r *Recorder) unopenedTLS13(s *stream, m Message) {
	s.lastSkipped = nil
	if !r.clientFinished && s.side == Client && m.Size == r.finishedLen()+jssePadding {
		s.padding = jssePadding
	}
	m.Size = max(m.Size-s.padding, 0)
	switch {
	case !r.clientFinished && r.exchange.turns < finishedTurn:
		r.clientFinished = s.side == Client && m.Size == r.finishedLen()
		r.add(m)
	case r.afterFinished < maxAfterFinished:
		r.afterFinished++
		r.add(m)
	default:
		s.dataSkipped = true
		if m.Size == alertLen {
			last := m
			r.stamp(&last)
			s.lastSkipped = &last
		}
	}
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

func (r *Recorder) isTLS13() bool {
	return r.t.ServerHello != nil && r.t.ServerHello.Version.isTLS13()
}

func (r *Recorder) isBeforeTLS13() bool {
	return r.t.ServerHello != nil && r.t.ServerHello.Version < tls.VersionTLS13
}

// beginNotTLS notes that a side's bytes are not records from here on, including those
// already taken for the header of one.
func (r *Recorder) beginNotTLS(s *stream, b []byte) {
	s.ssl2.done = s.ssl2.done || s.side == Server || len(b) > 1
	s.notTLS = len(r.t.Messages) + 1
	r.add(Message{From: s.side, Type: TypeNotTLS})
	r.moreNotTLS(s, b)
}

// moreNotTLS notes bytes that are not records, and returns those after them: the rest of b
// if a ClientHello in the format of SSL 2.0 ends in it.
func (r *Recorder) moreNotTLS(s *stream, b []byte) (rest []byte) {
	if !s.ssl2.done {
		n := s.ssl2.take(b)
		if s.ssl2.done && s.ssl2.kept != nil {
			b, rest = b[:n], b[n:]
			defer func() { s.notTLS, s.have = 0, 0 }()
		}
	}
	if s.notTLS > len(r.t.Messages) {
		return rest // omitted
	}
	if r.t.NotTLS == nil {
		r.t.NotTLS, r.notTLSFrom = make([]byte, 0, maxNotTLS), s
	}
	if r.notTLSFrom == s {
		r.t.NotTLS = append(r.t.NotTLS, b[:min(len(b), maxNotTLS-len(r.t.NotTLS))]...)
	}
	m := &r.t.Messages[s.notTLS-1]
	m.Size += len(b)
	r.stamp(m)
	return rest
}
