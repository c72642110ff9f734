package handshake

import (
	"net/netip"
	"time"

	"postern/internal/tlsrecord"
)

// A Recorder turns the bytes of one connection, as they pass below TLS, into a
// [Transcript]. It holds at most [MaxMemory], whatever passes.
//
// A Recorder is not safe for concurrent use.
type Recorder struct {
	t     *Transcript // all but what the end alone tells
	start time.Time
	now   time.Duration // of the bytes at hand
	feeds int

	client, server stream

	keys      Keys
	opener    Opener
	session   Session
	sessionID []byte // the client's legacy_session_id
	retried   bool

	finished        bool  // the client's Finished has passed, as far as can be told
	completed       bool  // and the TLS library accepted it
	serverFirst     bool  // in the protocol over TLS the server speaks first
	ticketsExpected bool  // ExpectTicket was called
	tickets         []int // sizes of the NewSessionTicket messages that the server made
	after           int   // records since the client's Finished that were noted
	told            *told // what the TLS library said of an alert
	odd             *stream
	endMark         int // messages when it ended
}

// MaxMemory bounds what a [Recorder] holds together with a transcript, in bytes: a
// ClientHello of 8 KiB while it is read, as much in what it says, and [MaxMessages]
// messages. A healthy handshake takes about 3 KiB. Keys add a record for each side.
const MaxMemory = 20 << 10

// typicalMessages are those of a TLS 1.3 handshake, a reply and a close.
const typicalMessages = 16

// NewRecorder returns a recorder of a connection whose TLS begins at start.
func NewRecorder(view View, start time.Time) *Recorder {
	r := &Recorder{start: start}
	r.t = &Transcript{Start: start.Round(0), View: view, Messages: make([]Message, 0, typicalMessages)}
	r.client = stream{r: r, side: Client}
	r.server = stream{r: r, side: Server}
	return r
}

// Addresses sets those of both ends.
func (r *Recorder) SetAddresses(client, server netip.AddrPort) {
	r.t.Client, r.t.Server = client, server
}

// Feed takes bytes that a side sent: one write, read or segment. They may be cut
// anywhere; Feed keeps no reference to them. At must not be before that of earlier
// calls.
func (r *Recorder) Feed(from Side, b []byte, at time.Time) {
	if len(b) == 0 {
		return
	}
	r.feeds++
	r.now = at.Sub(r.start)
	if r.t.End.Kind == EndTimeout && r.t.End.By == from { // a deadline was moved on: it was not the end
		r.t.End = End{}
	}
	if from == Client {
		r.client.write(b)
	} else {
		r.server.write(b)
	}
}

// Hello returns what the first ClientHello says, or nil before it is whole.
func (r *Recorder) ClientHello() *ClientHello { return r.t.ClientHello }

// Complete notes that both sides' Finished were accepted. Without it a transcript
// is completed where that can be told from what passed; see [Transcript.Completed].
func (r *Recorder) Complete() { r.finished, r.completed = true, true }

// Used notes what the client did with the finished connection, as far as the
// protocol over TLS tells. Data is noted without it; a lesser use than one noted
// before changes nothing.
func (r *Recorder) SetUse(use Use) { r.t.Use = max(r.t.Use, use) }

// ServerFirst notes that the server speaks first over TLS, as in SMTP with implicit
// TLS. Otherwise what it sends between the handshake and the client's first data is
// taken for session tickets, where it cannot be opened.
func (r *Recorder) ServerFirst() { r.serverFirst = true }

// ExpectTicket announces a session ticket of length bytes, as
// [crypto/tls.Config.WrapSession] returns it. From the first call on, encrypted
// tickets are recognised by their size and nothing else is taken for one, so each
// ticket must be announced before it passes. ExpectTicket(0) announces none yet.
func (r *Recorder) ExpectTicket(length int) {
	r.ticketsExpected = true
	if length > 0 && len(r.tickets) < maxTickets {
		r.tickets = append(r.tickets, ticketMessageLen+length)
	}
}

// maxTickets bounds the tickets announced: OpenSSL sends two, crypto/tls one.
const maxTickets = 8

// ticketMessageLen is the length of the NewSessionTicket message that crypto/tls
// makes, without the ticket: header, lifetime, age_add, empty nonce, length, no
// extensions (RFC 8446, Section 4.6.1).
const ticketMessageLen = messageHeaderLen + 4 + 4 + 1 + 2 + 2

// End notes how the connection ended. The first call counts. End.After need not be
// set. An alert is noted without it, and says more than the close that follows.
func (r *Recorder) End(e End) {
	if r.t.End.Kind != EndOpen {
		return
	}
	if r.t.End.Err != "" { // of the handshake: it says more
		e.Err = r.t.End.Err
	}
	r.t.End, r.endMark = e, len(r.t.Messages)
}

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
	if t.End.Kind == EndOpen || r.endMark == passed {
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
	inRecord := s.have == tlsrecord.HeaderLen
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
		m.Size, m.Missing = tlsrecord.HeaderLen, tlsrecord.HeaderLen-s.have
	default:
		return m, false
	}
	return m, true
}

// clearTypes are what records in the clear hold. Of a handshake message nothing is
// known before its header came.
var clearTypes = map[uint8]MessageType{
	tlsrecord.ChangeCipherSpec: TypeChangeCipherSpec,
	tlsrecord.Alert:            TypeAlert,
}
