package handshake

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"

	"postern/internal/safetext"
)

// maxName bounds what is shown of a name from the peer, in columns.
const maxName = columns - labelWidth - len("offers ")

func (v View) describe() string {
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

func describeAddress(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return safetext.Shorten(escape(a.String()), maxName)
}

// describeClientHello returns what the client offered, in lines.
func (t *Transcript) describeClientHello() []string {
	if t.ClientHello != nil {
		return t.ClientHello.describe()
	}
	for _, m := range t.Messages {
		if m.From == Client && m.Type == TypeClientHello && m.Missing == 0 {
			return []string{"a ClientHello that cannot be read"}
		}
	}
	return []string{"no complete ClientHello"}
}

// describeServerHello returns what the server chose.
func (t *Transcript) describeServerHello() string {
	if t.ServerHello == nil && t.has(Server, TypeServerHello) {
		return "a ServerHello that cannot be read"
	}
	return t.ServerHello.describe()
}

// describe returns what the client offered, in lines.
func (h *ClientHello) describe() []string {
	name := "no SNI"
	if h.ServerName != "" {
		name = "SNI " + safetext.Shorten(escape(h.ServerName), maxName)
	}
	lines := []string{name, "offers " + safetext.Shorten(h.versionNames(), maxName) + ", " + h.session()}
	if h.JA4 != "" {
		lines = append(lines, "JA4 "+safetext.Shorten(escape(h.JA4), maxName))
	}
	return lines
}

func (h *ClientHello) versionNames() string {
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

// session describes the session that the client offers to resume. A session ID alone
// offers one only before TLS 1.3; later it is there for middleboxes (RFC 8446, Section
// 4.1.2).
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

// describe returns what the server chose.
func (h *ServerHello) describe() string {
	if h == nil {
		return "no ServerHello"
	}
	text := "chose " + h.Version.String()
	if h.Suite != 0 {
		text += ", " + h.Suite.String()
	}
	if h.Group != 0 {
		text += ", " + h.Group.String()
	}
	if h.Resumed {
		text += ", resuming the session"
	}
	return text
}

func (u Use) describe() string {
	switch u {
	case UseNone:
		return "nothing more came"
	case UseData:
		return "the client sent data over TLS"
	case UseMail:
		return "the client sent mail over TLS"
	}
	return u.String()
}

// describe returns what the acknowledgements say; nothing if that is what was to be
// expected.
func (a Acknowledged) describe() string {
	switch a {
	case AckNone:
		return "the client's TCP acknowledged nothing of what the server sent"
	case AckPart:
		return "the client's TCP acknowledged only a part of what the server sent"
	case AckAll:
		return "the client's TCP acknowledged all that the server sent"
	}
	return ""
}

// describeResult returns what became of the handshake and how the connection ended.
func (t *Transcript) describeResult() string {
	missing := t.Gaps.describe()
	switch {
	case t.Undecided():
		return "not known whether the handshake completed: " + missing + "; " + t.DescribeEnd()
	case t.Completed && missing != "":
		if went := t.Gaps.describeExchange(); went != "" {
			missing = went + ", and " + missing
		}
		return "handshake most likely complete: " + missing + "; " + t.DescribeEnd()
	case t.Completed && t.View == OnWire && !t.finished():
		return "handshake most likely complete: both sides went on; " + t.DescribeEnd()
	case !t.Completed && t.End.Kind == EndOpen:
		return "handshake in progress when the recording stopped"
	case !t.Completed:
		return "handshake failed: " + t.DescribeEnd()
	case t.failed():
		return "handshake complete, connection not used: " + t.DescribeEnd()
	}
	return "handshake complete; " + t.DescribeEnd()
}

// failed reports whether the end needs an explanation.
func (t *Transcript) failed() bool {
	if t.End.Kind == EndOpen || t.Completed && (t.Use != UseNone || t.goodbye() != nil) {
		return false
	}
	return t.Gaps.IsZero() || t.endedByReadAlert()
}

// DescribeEnd returns in words how the connection ended and after which message, without
// capital letter and full stop: "closed silently by the client, after NewSessionTicket".
func (t *Transcript) DescribeEnd() string {
	switch by := t.End.By.by(); t.End.Kind {
	case EndOpen:
		return "still open when the recording stopped"
	case EndClosed:
		goodbye := t.goodbye()
		switch {
		case goodbye != nil && goodbye.Alert != nil:
			return "closed" + by + " (close_notify)"
		case goodbye != nil:
			return "most likely closed" + by + " (close_notify)"
		case t.failed():
			return "closed silently" + by + t.describePlace()
		}
		return "closed" + by
	case EndAlert:
		return "ended" + by + " with " + t.describeAlert()
	case EndReset:
		return "connection reset" + by + t.describePlace()
	case EndTimeout:
		return "timed out waiting" + strings.Replace(by, " by ", " for ", 1) + t.describePlace()
	case EndDropped:
		return "closed" + by + " without an alert" + t.describePlace()
	}
	return t.End.Kind.String()
}

// goodbye returns the alert with which a side closed a finished connection, nil if there is
// none: a close_notify, or an alert that cannot be read and is taken for one.
func (t *Transcript) goodbye() *Message {
	if !t.Completed || t.End.Kind != EndClosed {
		return nil
	}
	for i := range t.Messages {
		if m := &t.Messages[i]; m.Type == TypeAlert && m.From == t.End.By {
			return m
		}
	}
	return nil
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

// describePlace returns after which message the end came.
func (t *Transcript) describePlace() string {
	after := t.endedAfter()
	switch {
	case after < len(t.Messages) && t.Messages[after].Missing > 0:
		return ", in the middle of " + t.Messages[after].name()
	case after == 0:
		return ", before any message"
	case after > len(t.Messages):
		return fmt.Sprintf(", after %d messages", after)
	}
	last := &t.Messages[after-1]
	if last.From == Server && t.Acknowledged == AckNone && t.End.Kind != EndReset {
		return ", after " + last.name() + ", which was not acknowledged"
	}
	return ", after " + last.name()
}

// endedAfter returns the number of messages before the end, without the ChangeCipherSpec
// of TLS 1.3 if it comes last: it means nothing (RFC 8446, Appendix D.4).
func (t *Transcript) endedAfter() int {
	after := max(t.End.After, 0)
	if t.ServerHello != nil && t.ServerHello.Version != tls.VersionTLS13 {
		return after
	}
	for 1 < after && after <= len(t.Messages) && t.Messages[after-1].Type == TypeChangeCipherSpec {
		after--
	}
	return after
}

// name returns m's name in a sentence, with its sender if both sides send such messages.
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

// describeAlert describes the alert that ended the connection. The other side may have
// answered it with one of its own.
func (t *Transcript) describeAlert() string {
	if i := t.End.After - 1; i >= 0 && i < len(t.Messages) && t.Messages[i].Alert != nil {
		return "the alert " + t.Messages[i].Alert.Description.String()
	}
	return "an encrypted alert"
}
