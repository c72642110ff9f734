package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// told is what the TLS library said of an alert that may have been encrypted.
type told struct {
	by   Side
	text AlertText
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
	case err == io.EOF && r.t.End.How == Open:
		// The stream goes on: it was a close_notify that crypto/tls gives as EOF.
		r.told = &told{r.t.View.peer(), AlertText{Description: closeNotify}}
		r.End(End{How: Closed, By: r.t.View.peer()})
	case isTimeout(err) && (r.t.End.How == Open || r.t.End.How == Dropped):
		// HandshakeContext closes the conn before it returns.
		r.t.End.How = Open
		r.End(End{How: TimedOut, By: r.t.View.peer()})
	}
}

// Alerts that end nothing by themselves (RFC 8446, Section 6.1).
const (
	closeNotify  = 0
	userCanceled = 90
)

// alertOf finds the alert in an error of crypto/tls: the type in it is not exported,
// but has the text of a [tls.AlertError] of the same number. Most alerts that
// crypto/tls sends are not in its errors.
func (v View) alertOf(err error) (by Side, text AlertText, ok bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Err == nil {
		return Nobody, text, false
	}
	switch op.Op {
	case "remote error":
		by = v.peer()
	case "local error":
		by = v.own()
	default:
		return Nobody, text, false
	}
	for n := range 256 {
		if op.Err.Error() == tls.AlertError(n).Error() {
			return by, AlertText{Fatal: true, Description: uint8(n)}, true
		}
	}
	return Nobody, text, false
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
		unread := m.Type == Alert && m.Alert == nil
		hidden := m.Type == Unknown && m.Encrypted && m.Missing == 0
		if m.From != r.told.by || !unread && !hidden {
			continue
		}
		if hidden {
			m.Type, m.Inferred = Alert, true
		}
		text := r.told.text
		m.Alert = &text
		return
	}
}
