package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// own and peer return the sides as seen from a recorder at one end.
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

// endOf returns the end that the error of a Read or Write shows. The own Close is noted
// when it is called.
func (v View) endOf(err error) End {
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

// ownClose is the end by the recorder's own side.
func (v View) ownClose() End {
	if v == AtClient {
		return End{Kind: EndClosed, By: Client}
	}
	return End{Kind: EndDropped, By: Server}
}

// A libraryAlert is an alert in an error of the TLS library; it may have been encrypted.
type libraryAlert struct {
	by    Side
	alert Alert
}

// maxErr bounds what is kept of an error: it may quote the peer.
const maxErr = 256

// fail notes the error of the handshake, or of a Read after it: see [Conn.Fail].
func (r *Recorder) fail(err error, at time.Time) {
	if err == nil {
		return
	}
	if text := err.Error(); err != io.EOF || !r.completed {
		r.t.End.Err = text[:min(len(text), maxErr)]
	}
	switch by, alert, ok := r.t.View.alertIn(err); {
	case ok:
		r.libraryAlert = &libraryAlert{by, alert}
	case err == io.EOF && r.t.End.Kind == EndOpen:
		// The connection is open: crypto/tls returns EOF for a close_notify.
		r.libraryAlert = &libraryAlert{r.t.View.peer(), Alert{Description: closeNotify}}
		r.End(End{Kind: EndClosed, By: r.t.View.peer(), At: at.Sub(r.start)})
	case isTimeout(err) && (r.t.End.Kind == EndOpen || r.t.End.Kind == EndDropped):
		// HandshakeContext closes the conn before it returns.
		r.t.End.Kind = EndOpen
		r.End(End{Kind: EndTimeout, By: r.t.View.peer(), At: at.Sub(r.start)})
	case !r.completed && r.t.End.Kind == EndOpen:
		// The library gave up, and the conn is closed next. If it sent an alert, that is the end.
		end := r.t.View.ownClose()
		end.At = at.Sub(r.start)
		r.End(end)
	}
}

// Alerts that do not end the connection by themselves (RFC 8446, Section 6.1).
const (
	closeNotify  AlertDescription = 0
	userCanceled AlertDescription = 90
)

// alertIn finds the alert in an error of crypto/tls. The type in the error is not
// exported, but has the text of a [tls.AlertError] of the same number. Most alerts that
// crypto/tls sends are not in its errors.
func (v View) alertIn(err error) (by Side, alert Alert, ok bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Err == nil {
		return UnknownSide, alert, false
	}
	switch op.Op {
	case "remote error":
		by = v.peer()
	case "local error":
		by = v.own()
	default:
		return UnknownSide, alert, false
	}
	for n := range 256 {
		if op.Err.Error() == tls.AlertError(n).Error() {
			return by, Alert{Fatal: true, Description: AlertDescription(n)}, true
		}
	}
	return UnknownSide, alert, false
}

// useLibraryAlert gives the last unreadable alert the content that the TLS library
// reported. If padding hides the alert (RFC 8446, Section 5.4), as with JSSE, it is the
// last record: the library stopped reading there.
func (r *Recorder) useLibraryAlert(t *Transcript) {
	if r.libraryAlert == nil {
		return
	}
	for i := len(t.Messages) - 1; i >= 0; i-- {
		m := &t.Messages[i]
		unread := m.Type == TypeAlert && m.Alert == nil
		padded := m.Type == TypeUnknown && m.Encrypted && m.Missing == 0
		if m.From != r.libraryAlert.by || !unread && !padded {
			continue
		}
		if padded {
			m.Type, m.Inferred = TypeAlert, true
		}
		alert := r.libraryAlert.alert
		m.Alert = &alert
		return
	}
}

// conclude sets how the connection ended and was used, from the named messages.
func (r *Recorder) conclude(t *Transcript) {
	r.useLibraryAlert(t)
	t.Completed = r.completed || t.View == OnWire && (showsCompletion(t) || r.wentOn(t))
	if !t.Gaps.IsZero() {
		t.Gaps.Exchanged = r.exchanged()
	}
	if clientSentData(t) || t.Completed && !t.finished() && r.exchange.clientWentOn() {
		t.Use = max(t.Use, UseData)
	}
	if t.Completed {
		setCloser(t)
	}
	for i, m := range t.Messages {
		if open := t.End.Kind == EndOpen; m.Type == TypeAlert && endsWith(m, t.Completed || !t.Gaps.IsZero()) && (open || i < t.End.After) {
			t.End = End{Kind: EndAlert, By: m.From, After: i + 1, At: m.At, Err: t.End.Err}
			return
		}
	}
}

// setCloser sets who closed a connection after the handshake: the side that sent the
// first alert, which is taken for a close_notify, or else the one that closed it below
// TLS. A reset after a close_notify only says that the other side still sent something.
func setCloser(t *Transcript) {
	if t.End.Kind == EndDropped {
		t.End.Kind = EndClosed
	}
	for _, m := range t.Messages {
		if m.Type == TypeAlert && (t.End.Kind == EndClosed || t.End.Kind == EndReset) && !endsWith(m, true) {
			t.End.Kind, t.End.By = EndClosed, m.From
			return
		}
	}
}

// endsWith reports whether an alert ends the connection with an error. An unreadable one
// does before the handshake is complete; afterwards, or if that may be, it is taken for a
// close_notify.
func endsWith(m Message, maybeCompleted bool) bool {
	if m.Alert == nil {
		return !maybeCompleted
	}
	return m.Alert.Description != closeNotify && m.Alert.Description != userCanceled && m.Alert.Fatal
}

// isGoodbye reports whether an alert right after the Finished messages ends a connection in
// good order. One of the client that cannot be read most likely does: a client that
// rejects the server's Finished or certificate sends its alert in place of its own Finished.
// So does one of the side that sent the last Finished, since it had accepted the other's.
func isGoodbye(m Message, last Side) bool {
	if m.Alert == nil {
		return m.From == Client || m.From == last
	}
	return !endsWith(m, true)
}

// showsCompletion reports whether both Finished messages passed, and after the last of
// them data, or a close without an alert or with close_notify. In TLS 1.3 the client's is
// the last, and shows that the client accepted the server's.
func showsCompletion(t *Transcript) bool {
	var finished [Server + 1]bool
	finished[Server] = t.ServerHello != nil && t.ServerHello.Version.isTLS13()
	for i, m := range t.Messages {
		if m.Type == TypeFinished && m.Missing == 0 {
			finished[m.From] = true
		}
		if finished[Client] && finished[Server] {
			after := t.Messages[i+1:]
			// A client that closes before it has read everything resets the connection.
			closed := t.End.Kind == EndClosed || t.End.Kind == EndReset && t.End.By == Client
			if closed { // what the other side sent later does not say why
				after = t.Messages[i+1 : max(i+1, min(t.End.After, len(t.Messages)))]
			}
			return accepted(after, m.From, closed)
		}
	}
	return false
}

// accepted reports whether the messages after the last Finished show that the other side
// accepted it: by the first that is not an alert, or a goodbye. Data of the side that sent
// that Finished may be underway before the other side rejects it. If nothing else came, closed
// says whether the connection was closed in order.
func accepted(after []Message, last Side, closed bool) bool {
	for _, m := range after {
		switch {
		case m.Type == TypeAlert:
			return isGoodbye(m, last)
		case m.isGap():
			return false
		case m.From != last:
			return true
		}
	}
	return closed
}

// finished reports whether the Finished messages that complete the handshake were seen: the
// client's, and before TLS 1.3 the server's too.
func (t *Transcript) finished() bool {
	isTLS13 := t.ServerHello != nil && t.ServerHello.Version.isTLS13()
	return t.has(Client, TypeFinished) && (isTLS13 || t.has(Server, TypeFinished))
}

// clientSentData reports whether the client sent data after its Finished.
func clientSentData(t *Transcript) bool {
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
