package handshake

import (
	"time"

	"postern/internal/tlsrecord"
)

// messageHeaderLen is the length of a handshake message's type and length
// (RFC 8446, Section 4).
const messageHeaderLen = 4

// What is kept of a message until it is whole.
const (
	// maxHello is what is kept of a ClientHello. They have 200 to 2,000 bytes; the
	// largest key shares and a ticket with a chain of client certificates bring one
	// to 6 KiB. Of a longer one only the size is known.
	maxHello = 8 << 10
	// maxServerHello has room for the largest key share (ML-KEM-1024, 1,568 bytes).
	maxServerHello = 4 << 10
	// maxTicketHead is a NewSessionTicket up to the ticket itself: lifetime, age
	// add, nonce, and the ticket's length (RFC 8446, Section 4.6.1).
	maxTicketHead = 4 + 4 + 1 + 255 + 2
)

// An assembler puts handshake messages together: several may come in one record,
// and one in several.
type assembler struct {
	header [messageHeaderLen]byte
	got    int    // bytes of the message that have come, its header included
	body   []byte // what is kept of it
	torn   bool   // bytes of it were lost
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
		a.pass(s, encrypted)
	}
}

// pass notes the message when it is whole.
func (a *assembler) pass(s *stream, encrypted bool) {
	if a.got >= messageHeaderLen && a.got == a.size() {
		s.r.message(s, a.header[0], a.size(), a.body, encrypted)
		*a = assembler{}
	}
}

// keep keeps b as far as the recorder wants to know the message.
func (a *assembler) keep(r *Recorder, b []byte) {
	if a.torn {
		return
	}
	limit := r.wants(a.header[0], a.size()-messageHeaderLen)
	if len(b) == limit && a.got == messageHeaderLen && a.got+limit == a.size() {
		a.body = b // all of it, which is read before b is gone
		return
	}
	if a.body == nil && limit > 0 {
		a.body = make([]byte, 0, limit)
	}
	if room := limit - len(a.body); room > 0 {
		a.body = append(a.body, b[:min(room, len(b))]...)
	}
}

// wants is how much of a message's body is to be kept.
func (r *Recorder) wants(code uint8, body int) int {
	switch handshakeTypes[code] {
	case TypeClientHello:
		if r.t.ClientHello == nil && body <= maxHello {
			return body
		}
	case TypeServerHello:
		if r.t.ServerHello == nil && body <= maxServerHello {
			return body
		}
	case TypeNewSessionTicket:
		return min(body, maxTicketHead)
	}
	return 0
}

// handshakeTypes are the types by their number on the wire (RFC 8446, Appendix B.3).
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

// Lose notes that n bytes that a side sent were not recorded, as when a capture lacks
// a packet. A record or a message whose header was recorded is told all the same,
// unread; of the rest one message of type [TypeUnknown] has the size, and the side is
// followed again from a Feed that begins with a record.
func (r *Recorder) Gap(from Side, n int, at time.Time) {
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
	if s.have == tlsrecord.HeaderLen {
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
	clear := s.header[0] == tlsrecord.Handshake && !s.encrypted()
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
	if len(b) < tlsrecord.HeaderLen || b[1] != 3 || b[2] > 4 {
		return nil
	}
	if length := tlsrecord.Length(b); !tlsrecord.IsType(b[0]) || length == 0 || length > tlsrecord.MaxCiphertextTLS12 {
		return nil
	}
	s.adrift = false
	return b
}
