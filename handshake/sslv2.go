package handshake

// An ssl2Hello follows a ClientHello in the format of SSL 2.0, with which old clients
// open connections of later versions too (RFC 5246, Appendix E.2). It is not TLS, and is
// noted as such, until the server answers with a ServerHello. TLS records follow it.
type ssl2Hello struct {
	kept []byte // header and message
	done bool   // the message is whole, or there is none
}

const (
	ssl2HeaderLen  = 2
	ssl2HelloLen   = 1 + 2 + 2 + 2 + 2 // type, version, three lengths
	maxSSL2Hello   = 4 << 10           // of the message; those of OpenSSL have less than 400 bytes
	ssl2ClientType = 1
)

// size returns the length of header and message as announced. It needs the header.
func (h *ssl2Hello) size() int {
	return ssl2HeaderLen + int(h.kept[0]&0x7f)<<8 + int(h.kept[1])
}

// plausible reports whether the bytes kept can be those of a ClientHello.
func (h *ssl2Hello) plausible() bool {
	for i, b := range h.kept[:min(len(h.kept), ssl2HeaderLen+3)] {
		switch {
		case i == 0 && b&0x80 == 0,
			i == ssl2HeaderLen && b != ssl2ClientType,
			i == ssl2HeaderLen+1 && b != 3 && b != 0, // SSL 3.0 and later, or SSL 2.0
			i == ssl2HeaderLen+2 && h.kept[i-1] == 0 && b != 2:
			return false
		}
	}
	return len(h.kept) < ssl2HeaderLen || h.size() >= ssl2HeaderLen+ssl2HelloLen && h.size() <= maxSSL2Hello
}

// take keeps the bytes of b that belong to the message and returns how many they are.
func (h *ssl2Hello) take(b []byte) (n int) {
	for !h.done && n < len(b) {
		h.kept = append(h.kept, b[n])
		n++
		if !h.plausible() {
			h.kept, h.done = nil, true
			return n
		}
		h.done = len(h.kept) >= ssl2HeaderLen && len(h.kept) == h.size()
	}
	return n
}

// accepted makes the client's first message a ClientHello if it is one in the format of
// SSL 2.0: the server understood it.
func (h *ssl2Hello) accepted(r *Recorder) {
	if !h.done || h.kept == nil || r.t.ClientHello != nil {
		return
	}
	for i := range r.t.Messages {
		if m := &r.t.Messages[i]; m.From == Client {
			if m.Type == TypeNotTLS {
				m.Type, m.Size = TypeClientHello, len(h.kept)-ssl2HeaderLen
				r.t.NotTLS, r.notTLSFrom = nil, nil
				r.readSSL2Hello(h.kept[ssl2HeaderLen:])
			}
			break
		}
	}
	h.kept = nil
}

// readSSL2Hello keeps the content of a ClientHello in the format of SSL 2.0. It has no
// JA4, which is defined for the later format.
func (r *Recorder) readSSL2Hello(body []byte) {
	m := reader{b: body}
	m.uint8() // type
	h := &ClientHello{Size: len(body), Version: Version(m.uint16())}
	suitesLen, sessionIDLen, challengeLen := int(m.uint16()), int(m.uint16()), int(m.uint16())
	suites := reader{b: m.bytes(suitesLen)}
	h.SessionID = sessionIDLen > 0
	m.bytes(sessionIDLen + challengeLen)
	if m.short || len(m.b) > 0 {
		return
	}
	h.Suites = []Suite{}
	for len(suites.b) > 0 {
		if kind := suites.uint8(); kind == 0 { // others are of SSL 2.0 itself
			h.Suites = append(h.Suites, Suite(suites.uint16()))
		} else {
			suites.uint16()
		}
	}
	h.shorten()
	r.t.ClientHello = h
}
