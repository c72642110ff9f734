package handshake

import "strings"

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
	return clip(escape(a.String()), maxName)
}

// words says what the client offered.
func (h *Hello) words() string {
	if h == nil {
		return "sent no whole ClientHello"
	}
	name := "asks for no server by name"
	if h.ServerName != "" {
		name = "asks for " + clip(escape(h.ServerName), maxName)
	}
	print := ""
	if h.JA4 != "" {
		print = "JA4 " + clip(escape(h.JA4), maxName)
	}
	return sentences(name, "offers "+clip(h.versions(), maxName)+", "+h.session(), print)
}

func (h *Hello) versions() string {
	if h.Versions == nil {
		return "up to " + Version(h.Version).String()
	}
	var names []string
	for _, v := range h.Versions {
		if name := Version(v).String(); !strings.HasPrefix(name, "GREASE") {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// session says whether the client would resume. A session ID alone says so before TLS 1.3
// only: after, it is there for the sake of middleboxes (RFC 8446, Section 4.1.2).
func (h *Hello) session() string {
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
func (c *Choice) words() string {
	if c == nil {
		return "chose nothing: no ServerHello was sent"
	}
	words := "chose " + Version(c.Version).String() + ", " + Suite(c.Suite).String()
	if c.Group != 0 {
		words += ", " + Group(c.Group).String()
	}
	if c.Resumed {
		words += ", resuming the session"
	}
	return words
}
