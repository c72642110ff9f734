package handshake

import (
	"net/netip"
	"time"

	"postern/internal/tlsrecord"
)

// A Recorder turns the bytes of one connection, as they pass below TLS, into a
// [Transcript]. It holds at most 20 KiB, and a long ClientHello until it is whole.
//
// A Recorder is not safe for concurrent use.
type Recorder struct {
	t     *Transcript // without what is inferred at the end
	start time.Time
	now   time.Duration // when the current bytes passed
	feeds int

	client, server stream

	keys      Keys
	opener    Opener
	session   Session
	sessionID []byte // the client's legacy_session_id
	retried   bool

	clientFinished  bool          // the client's Finished has passed, as far as can be seen
	completed       bool          // and the TLS library accepted it
	serverFirst     bool          // the server speaks first in the protocol over TLS
	ticketsExpected bool          // expectTicket was called
	tickets         []int         // sizes of the NewSessionTicket messages to expect
	afterFinished   int           // records noted since the client's Finished
	libraryAlert    *libraryAlert // the alert in the TLS library's error
	notTLSFrom      *stream       // the side of Transcript.NotTLS
	endedAfter      int           // messages when the connection ended
	exchange        exchange
}

// maxMemory bounds what a Recorder holds together with its transcript, in bytes: the
// content of a ClientHello and [MaxMessages] messages. A healthy handshake takes about 3
// KiB. Keys add a record for each side. A ClientHello that is not yet whole adds what has
// arrived of it, at most [maxClientHello]: as much as crypto/tls holds of it.
const maxMemory = 20 << 10

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

// SetAddresses sets the addresses of both ends.
func (r *Recorder) SetAddresses(client, server netip.AddrPort) {
	r.t.Client, r.t.Server = client, server
}

// Feed records bytes that a side sent: one write, read or segment. They may be cut
// anywhere; Feed keeps no reference to them. At must not be before that of earlier
// calls.
func (r *Recorder) Feed(from Side, b []byte, at time.Time) {
	if len(b) == 0 {
		return
	}
	r.feeds++
	r.now = at.Sub(r.start)
	if r.t.End.Kind == EndTimeout && r.t.End.By == from { // the deadline was extended: it was not the end
		r.t.End, r.t.Acknowledged = End{}, AckUnknown
	}
	r.stream(from).write(b)
}

func (r *Recorder) stream(from Side) *stream {
	if from == Client {
		return &r.client
	}
	return &r.server
}

// complete notes that both sides' Finished were accepted. Without it a transcript is
// completed if the messages show that: see [Transcript.Completed].
func (r *Recorder) complete() { r.clientFinished, r.completed = true, true }

// SetUse notes what the client did with the finished connection, as far as the protocol
// over TLS shows. Data is noted without it; a lesser use than noted before changes
// nothing.
func (r *Recorder) SetUse(use Use) { r.t.Use = max(r.t.Use, use) }

// ServerFirst notes that the server speaks first over TLS, as in SMTP with implicit TLS.
// Otherwise encrypted records that it sends between the handshake and the client's first
// data are taken for session tickets.
func (r *Recorder) ServerFirst() { r.serverFirst = true }

// expectTicket announces a session ticket: see [Conn.ExpectTicket].
func (r *Recorder) expectTicket(length int) {
	r.ticketsExpected = true
	if length > 0 && len(r.tickets) < maxTickets {
		r.tickets = append(r.tickets, ticketMessageLen+length)
	}
}

// maxTickets bounds the tickets announced: OpenSSL sends two, crypto/tls one.
const maxTickets = 8

// ticketMessageLen is the length of the NewSessionTicket message that crypto/tls makes,
// without the ticket: header, lifetime, age_add, empty nonce, length, no extensions (RFC
// 8446, Section 4.6.1).
const ticketMessageLen = messageHeaderLen + 4 + 4 + 1 + 2 + 2

// End notes how the connection ended, when End.At says; the first call counts. End.After is
// ignored. Alerts are noted without End, and take precedence over the close that follows.
func (r *Recorder) End(e End) {
	if r.t.End.Kind != EndOpen {
		return
	}
	if r.t.End.Err != "" { // the handshake's error says more
		e.Err = r.t.End.Err
	}
	r.t.End, r.endedAfter = e, len(r.t.Messages)
}

// SetAcknowledged notes how much of what the server had sent was acknowledged when the
// connection ended.
func (r *Recorder) SetAcknowledged(a Acknowledged) { r.t.Acknowledged = a }

// Transcript returns what was recorded so far. It does not change when the recorder
// goes on.
func (r *Recorder) Transcript() *Transcript {
	t := *r.t
	t.Messages = append(make([]Message, 0, len(r.t.Messages)+2), r.t.Messages...)
	r.finish(&t)
	return &t
}

// finish completes t, which is the recorder's own transcript or a copy.
func (r *Recorder) finish(t *Transcript) {
	passed := len(t.Messages)
	first, second := &r.client, &r.server
	if a, b := first.lastSkipped, second.lastSkipped; a != nil && b != nil && b.Write < a.Write {
		first, second = second, first
	}
	first.addRest(t)
	second.addRest(t)
	t.End.After = r.endedAfter
	if t.End.Kind == EndOpen || r.endedAfter == passed {
		t.End.After = len(t.Messages)
	}
	if r.isTLS13() {
		r.infer(t)
	}
	r.conclude(t)
}

// addRest adds an incomplete message or record, or a last record that was not noted.
func (s *stream) addRest(t *Transcript) {
	m, ok := s.incomplete()
	if !ok && s.lastSkipped != nil {
		m, ok = *s.lastSkipped, true
	}
	switch {
	case !ok:
	case len(t.Messages) == MaxMessages:
		t.Omitted++
	default:
		t.Messages = append(t.Messages, m)
	}
}

// incomplete returns the message that has begun and is not whole.
func (s *stream) incomplete() (m Message, ok bool) {
	m = Message{From: s.side}
	s.r.stamp(&m)
	inRecord := s.have == tlsrecord.HeaderLen
	switch {
	case s.notTLS > 0:
		return m, false
	case s.messages.got >= messageHeaderLen:
		m.Type, m.Size = handshakeTypes[s.messages.header[0]], s.messages.size()
		m.Missing = m.Size - s.messages.got
	case s.messages.got > 0:
		m.Size, m.Missing = messageHeaderLen, messageHeaderLen-s.messages.got
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

// clearTypes maps content types in the clear. The type of a handshake message is in its
// own header.
var clearTypes = map[uint8]MessageType{
	tlsrecord.ChangeCipherSpec: TypeChangeCipherSpec,
	tlsrecord.Alert:            TypeAlert,
}
