package handshake

import "encoding/json"

// MarshalJSON gives t as docs/transcript-format.md says: names rather than numbers, times as
// RFC 3339 in UTC, durations in microseconds, what strangers wrote escaped as in a Go string.
// [Parse] reads it back exactly, but for Start, of which the instant counts, not the zone.
//
// It returns an error for a transcript that no recorder makes: a Type, Side, View, Use or How
// that is none of the constants, or a year past 9999.
func (t Transcript) MarshalJSON() ([]byte, error) {
	var err error
	raw := func(v any) json.RawMessage {
		data, e := json.Marshal(v)
		if err == nil {
			err = e
		}
		return data
	}
	w := writtenTranscript{
		Version: formatVersion, Start: start{t.Start.UTC()}, View: t.View,
		Client: address{t.Client}, Server: address{t.Server},
		Omitted: t.Omitted, Completed: t.Completed, Use: t.Use,
		End: raw(writtenEnd{t.End.How, t.End.By, t.End.After, escaped(t.End.Err)}),
	}
	if t.Hello != nil {
		w.Hello = raw(writeHello(t.Hello))
	}
	if t.Choice != nil {
		w.Choice = raw(writeChoice(t.Choice))
	}
	if t.NotTLS != nil {
		bytes := escaped(t.NotTLS)
		w.NotTLS = &bytes
	}
	if t.Messages != nil {
		w.Messages = make([]json.RawMessage, len(t.Messages))
	}
	for i := range t.Messages {
		w.Messages[i] = raw(writeMessage(&t.Messages[i]))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(w)
}

func writeHello(h *Hello) writtenHello {
	return writtenHello{
		Size:        h.Size,
		Version:     Version(h.Version),
		Versions:    as[Version](h.Versions),
		Suites:      as[Suite](h.Suites),
		Extensions:  as[Extension](h.Extensions),
		Groups:      as[Group](h.Groups),
		KeyShares:   as[Group](h.KeyShares),
		Signatures:  as[SignatureScheme](h.Signatures),
		PSKModes:    as[PSKMode](h.PSKModes),
		ALPN:        asStrings[escaped](h.ALPN),
		ServerName:  escaped(h.ServerName),
		SessionID:   h.SessionID,
		TicketTLS12: h.TicketTLS12,
		PSK:         h.PSK,
		JA4:         escaped(h.JA4),
	}
}

func writeChoice(c *Choice) writtenChoice {
	w := writtenChoice{Version: Version(c.Version), Suite: Suite(c.Suite), Resumed: c.Resumed, Retried: c.Retried}
	if c.Group != 0 {
		group := Group(c.Group)
		w.Group = &group
	}
	return w
}

func writeMessage(m *Message) writtenMessage {
	w := writtenMessage{
		From: m.From, Type: m.Type, Size: m.Size, Missing: m.Missing, At: micros(m.At),
		Write: m.Write, Encrypted: m.Encrypted, Inferred: m.Inferred,
	}
	if m.Alert != nil {
		w.Alert = &writtenAlert{m.Alert.Fatal, AlertDescription(m.Alert.Description)}
	}
	if m.Ticket != nil {
		w.Ticket = &writtenTicket{micros(m.Ticket.Lifetime), m.Ticket.Size}
	}
	return w
}

// as gives the same list by another type's name; nil stays nil.
func as[To, From number](list []From) []To { return each(list, func(n From) To { return To(n) }) }

func asStrings[To, From ~string](list []From) []To {
	return each(list, func(s From) To { return To(s) })
}

func each[To, From any](list []From, convert func(From) To) []To {
	if list == nil {
		return nil
	}
	to := make([]To, len(list))
	for i, v := range list {
		to[i] = convert(v)
	}
	return to
}
