package tlslog

import (
	"crypto/tls"
	"time"

	"postern/handshake"
)

// A builder makes the transcript of a session from the messages in a log.
type builder struct {
	session Session
	view    handshake.View
	own     handshake.Side // of the program that wrote the log; 0 before the ClientHello

	clientHello, serverHello []byte // without the header; nil if not known
	messages                 []handshake.Message
	omitted                  int
	received                 bool // the last record is the peer's
	finished                 [handshake.Server + 1]bool
	version                  handshake.Version // if no ServerHello can be read
	suite                    handshake.Suite
	peerClosed               bool // the program says that the peer closed without an alert
	timedOut                 bool
	peerReset                bool
	ownClosed                bool
}

// peer returns the other side.
func (b *builder) peer() handshake.Side {
	if b.own == handshake.Client {
		return handshake.Server
	}
	return handshake.Client
}

// side returns who sent a message: the program that wrote the log, or its peer.
func (b *builder) side(sent bool) handshake.Side {
	if sent {
		return b.own
	}
	return b.peer()
}

// begin sets which side wrote the log, from who sent the ClientHello.
func (b *builder) begin(sent bool) {
	b.own, b.view = handshake.Server, handshake.AtServer
	if sent {
		b.own, b.view = handshake.Client, handshake.AtClient
	}
}

// begun reports whether there was a ClientHello.
func (b *builder) begun() bool { return b.own != handshake.UnknownSide }

// startsAnother reports whether a ClientHello begins another session: it is no answer to a
// HelloRetryRequest.
func (b *builder) startsAnother() bool {
	for i := len(b.messages) - 1; i >= 0; i-- {
		switch b.messages[i].Type {
		case handshake.TypeChangeCipherSpec:
		case handshake.TypeHelloRetryRequest:
			return false
		default:
			return true
		}
	}
	return b.begun()
}

func (b *builder) add(m handshake.Message) {
	if len(b.messages) >= handshake.MaxMessages {
		b.omitted++
		return
	}
	m.Write = len(b.messages) + 1 // which shared a write, the log does not say
	b.messages = append(b.messages, m)
}

// transcript returns the session's transcript.
func (b *builder) transcript() *handshake.Transcript {
	t := &handshake.Transcript{View: b.view, Messages: b.messages, Omitted: b.omitted}
	t.ClientHello, t.ServerHello = b.hellos()
	if t.ServerHello == nil && b.version != 0 {
		t.ServerHello = &handshake.ServerHello{Version: b.version, Suite: b.suite}
	}
	b.markEncrypted(t)
	t.Completed = b.completed()
	if t.Completed && b.has(handshake.Client, handshake.TypeApplicationData) {
		t.Use = handshake.UseData
	}
	t.End = b.end()
	t.End.Err = b.session.Err
	return t
}

// markEncrypted marks the messages that are encrypted by the rules of their version, where the
// log does not say so: after a side's ChangeCipherSpec, and in TLS 1.3 after the ServerHello.
func (b *builder) markEncrypted(t *handshake.Transcript) {
	tls13 := t.ServerHello != nil && t.ServerHello.Version == tls.VersionTLS13
	var on [handshake.Server + 1]bool
	for i := range t.Messages {
		m := &t.Messages[i]
		if m.Type == handshake.TypeFinished { // GnuTLS does not list a received ChangeCipherSpec
			on[m.From] = true
		}
		switch {
		case m.Type == handshake.TypeChangeCipherSpec:
			on[m.From] = on[m.From] || !tls13
		case m.Type == handshake.TypeServerHello && tls13:
			on[handshake.Client], on[handshake.Server] = true, true
		case on[m.From] && !(tls13 && m.Type == handshake.TypeAlert): // an alert can come before the keys
			m.Encrypted = true
		}
	}
}

// hellos returns what the ClientHello and the ServerHello say.
func (b *builder) hellos() (*handshake.ClientHello, *handshake.ServerHello) {
	r := handshake.NewRecorder(handshake.OnWire, time.Time{})
	for _, hello := range []struct {
		from handshake.Side
		kind byte
		body []byte
	}{{handshake.Client, 1, b.clientHello}, {handshake.Server, 2, b.serverHello}} {
		if hello.body != nil {
			for _, record := range records(append([]byte{hello.kind, byte(len(hello.body) >> 16), byte(len(hello.body) >> 8), byte(len(hello.body))}, hello.body...)) {
				r.Feed(hello.from, record, time.Time{})
			}
		}
	}
	t := r.Transcript()
	return t.ClientHello, t.ServerHello
}

// records returns a message in TLS records.
func records(message []byte) (all [][]byte) {
	for len(message) > 0 {
		n := min(len(message), 1<<14)
		all = append(all, append([]byte{22, 3, 3, byte(n >> 8), byte(n)}, message[:n]...))
		message = message[n:]
	}
	return all
}

func (b *builder) has(from handshake.Side, kind handshake.MessageType) bool {
	for _, m := range b.messages {
		if m.From == from && m.Type == kind {
			return true
		}
	}
	return false
}

// completed reports whether both Finished are listed, and no alert ended the handshake.
func (b *builder) completed() bool {
	if !b.finished[handshake.Client] || !b.finished[handshake.Server] {
		return false
	}
	var seen [handshake.Server + 1]bool
	for _, m := range b.messages {
		both := seen[handshake.Client] && seen[handshake.Server]
		switch {
		case both && m.Type == handshake.TypeAlert && m.Alert != nil && m.Alert.Fatal:
			return b.session.Refused == "" && b.isEndOfFile(m)
		case both && m.Type != handshake.TypeChangeCipherSpec:
			return true
		case m.Type == handshake.TypeFinished:
			seen[m.From] = true
		}
	}
	return b.session.Refused == ""
}

const (
	closeNotify = handshake.AlertDescription(0)
	decodeError = handshake.AlertDescription(50)
)

// isEndOfFile reports whether an alert is the one that OpenSSL 3 sends when the peer has closed
// the connection without one. It looks as if this side had read something malformed: but then
// a record of the peer comes before it.
func (b *builder) isEndOfFile(m handshake.Message) bool {
	return m.From == b.own && m.Alert != nil && m.Alert.Description == decodeError && (b.peerClosed || !b.received)
}

// end returns how the connection ended, as far as the log says.
func (b *builder) end() handshake.End {
	for i, m := range b.messages {
		switch {
		case m.Type != handshake.TypeAlert || m.Alert == nil:
		case b.isEndOfFile(m):
			return handshake.End{Kind: handshake.EndClosed, By: b.peer(), After: i}
		case m.Alert.Description == closeNotify:
			return handshake.End{Kind: handshake.EndClosed, By: m.From, After: i + 1}
		case m.Alert.Fatal:
			return handshake.End{Kind: handshake.EndAlert, By: m.From, After: i + 1}
		}
	}
	end := handshake.End{After: len(b.messages)}
	switch {
	case b.peerReset:
		end.Kind, end.By = handshake.EndReset, b.peer()
	case b.session.Refused != "", b.ownClosed:
		end.Kind, end.By = handshake.EndClosed, b.own
	case b.peerClosed:
		end.Kind, end.By = handshake.EndClosed, b.peer()
	case b.timedOut:
		end.Kind, end.By = handshake.EndTimeout, b.peer()
	}
	return end
}

// result returns the session.
func (b *builder) result() Session {
	s := b.session
	s.Transcript = b.transcript()
	s.Completed = s.Transcript.Completed
	return s
}
