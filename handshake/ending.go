package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
)

// own and peer are the sides of a recorder at an end.
func (v View) own() Side {
	if v == AtClient {
		return Client
	}
	return Server
}

func (v View) peer() Side {
	if v == AtClient {
		return Server
	}
	return Client
}

// ended says what the error of a Read or Write tells of the connection. The end's
// own Close is noted when it is called.
func (v View) ended(err error) End {
	switch {
	case err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe):
		return End{}
	case isTimeout(err):
		return End{Kind: EndTimeout, By: v.peer(), Err: err.Error()}
	case errors.Is(err, io.EOF):
		return End{Kind: EndClosed, By: v.peer(), Err: err.Error()}
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return End{Kind: EndReset, By: v.peer(), Err: err.Error()}
	}
	return End{Kind: EndClosed, By: UnknownSide, Err: err.Error()}
}

// isTimeout reports whether a deadline has passed, or TCP has given up.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// closed is an end's own Close.
func (v View) closed() End {
	if v == AtClient {
		return End{Kind: EndClosed, By: Client}
	}
	return End{Kind: EndDropped, By: Server}
}

// told is what the TLS library said of an alert that may have been encrypted.
type told struct {
	by   Side
	text Alert
}

// maxErr bounds what is kept of an error: it may quote the peer.
const maxErr = 256

// Fail notes the error of the handshake, as crypto/tls gave it: it names alerts that
// were encrypted, and timeouts that came as a context's end.
func (r *Recorder) Fail(err error) {
	if err == nil {
		return
	}
	text := err.Error()
	r.t.End.Err = text[:min(len(text), maxErr)]
	switch by, alert, ok := r.t.View.alertOf(err); {
	case ok:
		r.told = &told{by, alert}
	case err == io.EOF && r.t.End.Kind == EndOpen:
		// The stream goes on: it was a close_notify that crypto/tls gives as EOF.
		r.told = &told{r.t.View.peer(), Alert{Description: closeNotify}}
		r.End(End{Kind: EndClosed, By: r.t.View.peer()})
	case isTimeout(err) && (r.t.End.Kind == EndOpen || r.t.End.Kind == EndDropped):
		// HandshakeContext closes the conn before it returns.
		r.t.End.Kind = EndOpen
		r.End(End{Kind: EndTimeout, By: r.t.View.peer()})
	}
}

// Alerts that end nothing by themselves (RFC 8446, Section 6.1).
const (
	closeNotify  AlertDescription = 0
	userCanceled AlertDescription = 90
)

// alertOf finds the alert in an error of crypto/tls: the type in it is not exported,
// but has the text of a [tls.AlertError] of the same number. Most alerts that
// crypto/tls sends are not in its errors.
func (v View) alertOf(err error) (by Side, text Alert, ok bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Err == nil {
		return UnknownSide, text, false
	}
	switch op.Op {
	case "remote error":
		by = v.peer()
	case "local error":
		by = v.own()
	default:
		return UnknownSide, text, false
	}
	for n := range 256 {
		if op.Err.Error() == tls.AlertError(n).Error() {
			return by, Alert{Fatal: true, Description: AlertDescription(n)}, true
		}
	}
	return UnknownSide, text, false
}

// tellAlert gives the last alert that could not be read what the TLS library said.
// Where padding hid it from naming (RFC 8446, Section 5.4), as JSSE pads its alerts,
// it is the last record that came: the library stopped reading there.
func (r *Recorder) tellAlert(t *Transcript) {
	if r.told == nil {
		return
	}
	for i := len(t.Messages) - 1; i >= 0; i-- {
		m := &t.Messages[i]
		unread := m.Type == TypeAlert && m.Alert == nil
		hidden := m.Type == TypeUnknown && m.Encrypted && m.Missing == 0
		if m.From != r.told.by || !unread && !hidden {
			continue
		}
		if hidden {
			m.Type, m.Inferred = TypeAlert, true
		}
		text := r.told.text
		m.Alert = &text
		return
	}
}

// conclude says how it ended and what it came to, from the named messages.
func (r *Recorder) conclude(t *Transcript) {
	r.tellAlert(t)
	t.Completed = r.completed || t.View == OnWire && concluded(t)
	if spoke(t) {
		t.Use = max(t.Use, UseData)
	}
	if t.Completed {
		closedInOrder(t)
	}
	for i, m := range t.Messages {
		if open := t.End.Kind == EndOpen; m.Type == TypeAlert && isEnd(m, t.Completed) && (open || i < t.End.After) {
			t.End = End{Kind: EndAlert, By: m.From, After: i + 1, Err: t.End.Err}
			return
		}
	}
}

// closedInOrder says who closed a connection that was in use: who sent the first
// alert, which is taken for a close_notify, or else who closed it below TLS.
func closedInOrder(t *Transcript) {
	if t.End.Kind == EndDropped {
		t.End.Kind = EndClosed
	}
	for _, m := range t.Messages {
		if m.Type == TypeAlert && t.End.Kind == EndClosed {
			t.End.By = m.From
			return
		}
	}
}

// isEnd reports whether an alert ends the connection otherwise than by closing it
// in good order. One that could not be read does before the handshake is complete.
func isEnd(m Message, completed bool) bool {
	if m.Alert == nil {
		return !completed
	}
	return m.Alert.Description != closeNotify && m.Alert.Description != userCanceled && m.Alert.Fatal
}

// concluded reports whether the client's and the server's Finished passed, and after
// the last of them data, or a close that no alert announced. In TLS 1.3 the client's
// is the last, and says that it took the server's.
func concluded(t *Transcript) bool {
	var seen [Server + 1]bool
	seen[Server] = t.ServerHello != nil && t.ServerHello.Version == tls.VersionTLS13
	for i, m := range t.Messages {
		if m.Type == TypeFinished && m.Missing == 0 {
			seen[m.From] = true
		}
		if seen[Client] && seen[Server] {
			after := t.Messages[i+1:]
			if len(after) > 0 {
				return after[0].Type != TypeAlert
			}
			return t.End.Kind == EndClosed
		}
	}
	return false
}

// spoke reports whether the client sent data after its Finished.
func spoke(t *Transcript) bool {
	finished := false
	for _, m := range t.Messages {
		if m.From == Client && m.Type == TypeFinished {
			finished = true
		}
		if m.From == Client && m.Type == TypeApplicationData && (finished || t.Completed) {
			return true
		}
	}
	return false
}
