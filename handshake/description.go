package handshake

import (
	"crypto/tls"
	"fmt"
	"strings"

	"postern/internal/safetext"
)

// maxName bounds what is shown of a name that a stranger sent, in columns.
const maxName = columns - labelWidth - len("asks for ")

func (v View) place() string {
	switch v {
	case AtServer:
		return "at the server"
	case AtClient:
		return "at the client"
	case OnWire:
		return "on the wire"
	}
	return v.String()
}

func (a address) words() string {
	if !a.IsValid() {
		return ""
	}
	return safetext.Shorten(escape(a.String()), maxName)
}

// words says what the client offered.
func (h *ClientHello) words() string {
	if h == nil {
		return "sent no whole ClientHello"
	}
	name := "asks for no server by name"
	if h.ServerName != "" {
		name = "asks for " + safetext.Shorten(escape(h.ServerName), maxName)
	}
	print := ""
	if h.JA4 != "" {
		print = "JA4 " + safetext.Shorten(escape(h.JA4), maxName)
	}
	return sentences(name, "offers "+safetext.Shorten(h.versions(), maxName)+", "+h.session(), print)
}

func (h *ClientHello) versions() string {
	if h.Versions == nil {
		return "up to " + h.Version.String()
	}
	var names []string
	for _, v := range h.Versions {
		if !IsGREASE(v) {
			names = append(names, v.String())
		}
	}
	return strings.Join(names, ", ")
}

// session says whether the client would resume. A session ID alone says so before TLS 1.3
// only: after, it is there for the sake of middleboxes (RFC 8446, Section 4.1.2).
func (h *ClientHello) session() string {
	switch {
	case h.PSK:
		return "a session to resume (pre_shared_key)"
	case h.TicketTLS12:
		return "a session to resume (session_ticket)"
	case h.SessionID && h.Versions == nil:
		return "a session to resume (session ID)"
	}
	return "no session to resume"
}

// words says what the server chose.
func (c *ServerHello) words() string {
	if c == nil {
		return "chose nothing: no ServerHello was sent"
	}
	words := "chose " + c.Version.String() + ", " + c.Suite.String()
	if c.Group != 0 {
		words += ", " + c.Group.String()
	}
	if c.Resumed {
		words += ", resuming the session"
	}
	return words
}

func (u Use) words() string {
	switch u {
	case UseNone:
		return "nothing more came"
	case UseData:
		return "the client went on to speak over TLS"
	case UseMail:
		return "the client went on to send mail over TLS"
	}
	return u.String()
}

// outcome is the handshake's end in a sentence.
func (t *Transcript) outcome() string {
	switch {
	case !t.Completed && t.End.Kind == EndOpen:
		return "not at all: the handshake went on when the recording stopped"
	case !t.Completed:
		return "the handshake failed: " + t.DescribeEnd()
	case t.failed():
		return "the handshake was complete, and no use was made of it: " + t.DescribeEnd()
	}
	return "the handshake was complete; " + t.DescribeEnd()
}

// failed reports an end that wants explaining.
func (t *Transcript) failed() bool {
	return t.End.Kind != EndOpen && (!t.Completed || t.Use == UseNone)
}

// Ending says in words how the connection ended and after what, as a clause without a
// capital or a full stop: "closed silently by the client, after NewSessionTicket".
func (t *Transcript) DescribeEnd() string {
	switch by := t.End.By.by(); t.End.Kind {
	case EndOpen:
		return "still open when the recording stopped"
	case EndClosed:
		if t.failed() {
			return "closed silently" + by + t.where()
		}
		return "closed" + by
	case EndAlert:
		return "given up" + by + " with " + t.lastAlert()
	case EndReset:
		return "connection reset" + by + t.where()
	case EndTimeout:
		return "timed out waiting" + strings.Replace(by, " by ", " for ", 1) + t.where()
	case EndDropped:
		return "dropped" + by + " without a word" + t.where()
	}
	return t.End.Kind.String()
}

func (s Side) by() string {
	switch s {
	case Client:
		return " by the client"
	case Server:
		return " by the server"
	}
	return ""
}

// where says after which message the end came.
func (t *Transcript) where() string {
	after := t.spoken()
	switch {
	case after < len(t.Messages) && t.Messages[after].Missing > 0:
		return ", in the middle of " + t.Messages[after].name()
	case after == 0:
		return ", before any message"
	case after > len(t.Messages):
		return fmt.Sprintf(", after %d messages", after)
	}
	return ", after " + t.Messages[after-1].name()
}

// spoken is the number of messages before the end. The ChangeCipherSpec of TLS 1.3 that
// comes last is passed over: it says nothing (RFC 8446, Appendix D.4).
func (t *Transcript) spoken() int {
	after := max(t.End.After, 0)
	if t.ServerHello != nil && t.ServerHello.Version != tls.VersionTLS13 {
		return after
	}
	for 1 < after && after <= len(t.Messages) && t.Messages[after-1].Type == TypeChangeCipherSpec {
		after--
	}
	return after
}

// name is m's name in a sentence, with its sender where both sides send such.
func (m *Message) name() string {
	switch m.Type {
	case TypeNotTLS:
		return "bytes that are not TLS"
	case TypeUnknown:
		return "an unknown record"
	case TypeCertificate, TypeCertificateVerify, TypeFinished, TypeKeyUpdate, TypeChangeCipherSpec, TypeAlert, TypeApplicationData:
		if m.From != UnknownSide {
			return "the " + m.From.String() + "'s " + m.Type.String()
		}
	}
	return m.Type.String()
}

func (t *Transcript) lastAlert() string {
	for i := len(t.Messages) - 1; i >= 0; i-- {
		if alert := t.Messages[i].Alert; alert != nil {
			return "the alert " + alert.Description.String()
		}
	}
	return "an alert that could not be read"
}
