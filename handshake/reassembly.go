package handshake

import (
	"time"

	"postern/internal/tlsrecord"
)

// messageHeaderLen is the length of a handshake message's type and length (RFC 8446,
// Section 4).
const messageHeaderLen = 4

// How much of a message's body is kept until it is whole.
const (
	// maxClientHello bounds a ClientHello, as crypto/tls does. They have 200 to 2,000
	// bytes; large key shares, tickets with a chain of client certificates and padding
	// make longer ones. Of one beyond the bound only the size is kept.
	maxClientHello = 64 << 10
	// maxServerHello holds the largest key share (ML-KEM-1024, 1,568 bytes).
	maxServerHello = 4 << 10
	// maxTicketHead is a NewSessionTicket up to the ticket itself: lifetime, age_add,
	// nonce, and the ticket's length (RFC 8446, Section 4.6.1).
	maxTicketHead = 4 + 4 + 1 + 255 + 2
	// maxAhead is how much memory a message's announced length alone may take.
	maxAhead = 4 << 10
)

// An assembler reassembles handshake messages: a record may hold several, and a message
// may span several records.
type assembler struct {
	header     [messageHeaderLen]byte
	got        int    // bytes of the message received, including its header
	body       []byte // what is kept of it
	incomplete bool   // some of its bytes were lost
}

func (a *assembler) size() int {
	return messageHeaderLen + int(a.header[1])<<16 + int(a.header[2])<<8 + int(a.header[3])
}

func (a *assembler) write(s *stream, b []byte, encrypted bool) {
	for len(b) > 0 {
		if a.got < messageHeaderLen {
			a.header[a.got] = b[0]
			a.got++
			b = b[1:]
		} else {
			n := min(a.size()-a.got, len(b))
			a.keep(s.r, b[:n])
			a.got += n
			b = b[n:]
		}
		a.finish(s, encrypted)
	}
}

// finish notes the message if it is whole.
func (a *assembler) finish(s *stream, encrypted bool) {
	if a.got >= messageHeaderLen && a.got == a.size() {
		s.r.message(s, a.header[0], a.size(), a.body, encrypted)
		*a = assembler{}
	}
}

// keep keeps as much of b as the recorder reads of the message.
func (a *assembler) keep(r *Recorder, b []byte) {
	if a.incomplete {
		return
	}
	limit := r.keepLen(a.header[0], a.size()-messageHeaderLen)
	if len(b) == limit && a.got == messageHeaderLen && a.got+limit == a.size() {
		a.body = b // the whole body, which is read before b becomes invalid
		return
	}
	if a.body == nil && limit > 0 {
		a.body = make([]byte, 0, min(limit, maxAhead))
	}
	if free := limit - len(a.body); free > 0 {
		a.body = append(a.body, b[:min(free, len(b))]...)
	}
}

// keepLen returns how many bytes of a message's body the recorder reads.
func (r *Recorder) keepLen(code uint8, bodyLen int) int {
	switch handshakeTypes[code] {
	case TypeClientHello:
		if r.t.ClientHello == nil && bodyLen <= maxClientHello {
			return bodyLen
		}
	case TypeServerHello:
		if r.t.ServerHello == nil && bodyLen <= maxServerHello {
			return bodyLen
		}
	case TypeNewSessionTicket:
		return min(bodyLen, maxTicketHead)
	}
	return 0
}

// message notes a handshake message. Body is as much of it as keepLen asked for.
func (r *Recorder) message(s *stream, code uint8, size int, body []byte, encrypted bool) {
	m := Message{From: s.side, Type: handshakeTypes[code], Size: size, Encrypted: encrypted}
	switch {
	case m.Type == TypeClientHello && s.side == Client && r.t.ClientHello == nil:
		r.readClientHello(body)
	case m.Type == TypeServerHello && s.side == Server:
		m.Type = r.readServerHello(body)
	case m.Type == TypeNewSessionTicket:
		m.Ticket = r.readTicket(body)
	case m.Type == TypeFinished && encrypted && r.isTLS13():
		s.epoch = 1
		r.clientFinished = r.clientFinished || s.side == Client
	case m.Type == TypeFinished && encrypted:
		s.finished = true
	case m.Type == TypeKeyUpdate && encrypted:
		s.epoch++
	}
	r.add(m)
}

// handshakeTypes maps the types of handshake messages on the wire (RFC 8446, Appendix B.3).
var handshakeTypes = [256]MessageType{
	0:  TypeHelloRequest,
	1:  TypeClientHello,
	2:  TypeServerHello,
	4:  TypeNewSessionTicket,
	5:  TypeEndOfEarlyData,
	8:  TypeEncryptedExtensions,
	11: TypeCertificate,
	12: TypeServerKeyExchange,
	13: TypeCertificateRequest,
	14: TypeServerHelloDone,
	15: TypeCertificateVerify,
	16: TypeClientKeyExchange,
	20: TypeFinished,
	22: TypeCertificateStatus,
	24: TypeKeyUpdate,
	25: TypeCertificate, // compressed (RFC 8879)
}

// Gap notes that n bytes from a side are missing, as when a capture lacks a packet. A
// record or message whose header was recorded is noted without its content; the rest of
// the gap is one message of [TypeUnknown] with its size. Recording of that side continues
// with a Feed that begins with a record.
func (r *Recorder) Gap(from Side, n int, at time.Time) {
	r.now = at.Sub(r.start)
	r.stream(from).gap(n)
}

func (s *stream) gap(n int) {
	if s.unsynced {
		s.r.exchange.gap(s.side, n)
	}
	if s.notTLS > 0 || s.unsynced {
		return
	}
	inside := 0
	if s.have == tlsrecord.HeaderLen {
		inside = min(n, s.left)
	}
	s.skip(inside)
	if n > inside {
		s.r.exchange.gap(s.side, n-inside)
		s.unsynced, s.have, s.messages = true, 0, assembler{}
		s.r.missing(s, n-inside)
	}
}

// skip passes over n missing bytes of the current record.
func (s *stream) skip(n int) {
	if n == 0 {
		return
	}
	s.left -= n
	s.holed = true
	readable := s.header[0] == tlsrecord.Handshake && !s.encrypted()
	if readable && !s.skipMessages && !s.messages.skip(s, n) {
		s.messages, s.skipMessages = assembler{}, true
		s.r.missing(s, n+s.left)
	}
	if s.left == 0 {
		s.end()
	}
}

// skip passes over n missing bytes of a message, and reports false if they include a header.
func (a *assembler) skip(s *stream, n int) bool {
	if a.got < messageHeaderLen || a.got+n > a.size() {
		return false
	}
	a.incomplete, a.body = true, nil
	a.got += n
	a.finish(s, false)
	return true
}

// missing notes bytes of which only the number is known, except on a finished connection: one
// that the server has answered on.
func (r *Recorder) missing(s *stream, n int) {
	switch {
	case s.dataNoted, r.exchange.record, r.clientFinished && s.side == Client:
		return
	}
	if s.side == Client {
		r.t.Gaps.Client += n
	} else {
		r.t.Gaps.Server += n
	}
	r.add(Message{From: s.side, Size: n})
}

// resync continues with b if it begins with the header of a record, and skips it otherwise.
func (s *stream) resync(b []byte) []byte {
	if !tlsrecord.Begins(b) {
		s.r.exchange.gap(s.side, len(b))
		return nil
	}
	s.unsynced = false
	return b
}
