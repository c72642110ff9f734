package handshake

// content notes what a record held, when it has passed. Handshake messages in the
// clear were noted as they came.
func (r *Recorder) content(s *stream, kind uint8, length int, body []byte, encrypted bool) {
	switch {
	case kind == recordHandshake:
		if encrypted {
			s.hand.write(s, body, true)
		}
	case kind == recordAlert:
		r.alert(s, length, body, encrypted)
	case kind == recordApplicationData:
		r.data(s, length, encrypted)
	case kind == recordChangeCipherSpec:
		r.add(Message{From: s.side, Type: ChangeCipherSpec, Size: length, Encrypted: encrypted})
		s.sealed = r.t.Choice != nil && r.t.Choice.Version < VersionTLS13
	default:
		r.add(Message{From: s.side, Size: length, Encrypted: encrypted})
	}
}

func (r *Recorder) alert(s *stream, length int, body []byte, encrypted bool) {
	m := Message{From: s.side, Type: Alert, Size: length, Encrypted: encrypted}
	if len(body) >= alertLen {
		m.Alert = &AlertText{Fatal: body[0] == 2, Description: body[1]}
	}
	r.add(m)
}

// data notes application data, the first of each side.
func (r *Recorder) data(s *stream, length int, encrypted bool) {
	if !s.spoke {
		s.spoke = true
		r.add(Message{From: s.side, Type: ApplicationData, Size: length, Encrypted: encrypted})
	}
}

// sealedRecord notes an encrypted record, opened if there is a key to it.
func (r *Recorder) sealedRecord(s *stream, body []byte) {
	if r.opener != nil && len(body) == s.length() {
		record := append(s.header[:recordHeaderLen:recordHeaderLen], body...)
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
	case recordAlert:
		m.Type = Alert
		r.add(m)
	case recordHandshake:
		if !s.finished {
			// The first message under the new keys (RFC 5246, Section 7.4.9).
			s.finished = true
			m.Type, m.Inferred, m.Size = Finished, true, finishedLen12
		}
		r.add(m)
	case recordApplicationData:
		if r.t.Choice != nil && r.t.Choice.Version < VersionTLS13 {
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
	case m.Type == ClientHello && s.side == Client && r.t.Hello == nil:
		r.clientHello(body)
	case m.Type == ServerHello && s.side == Server:
		m.Type = r.serverHello(body)
	case m.Type == NewSessionTicket:
		m.Ticket = r.ticket(body)
	case m.Type == Finished && encrypted && r.isTLS13():
		s.epoch = 1
		r.finished = r.finished || s.side == Client
	case m.Type == KeyUpdate && encrypted:
		s.epoch++
	}
	r.add(m)
}

func (r *Recorder) isTLS13() bool {
	return r.t.Choice != nil && r.t.Choice.Version == VersionTLS13
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
