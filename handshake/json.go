package handshake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern/internal/safetext"
)

// formatVersion is that of docs/transcript-format.md. A field more is a version more:
// Parse reads all versions up to its own and knows every field of each.
const formatVersion = 1

// The written form of each type. Lists that are nil are left out, empty ones are not:
// an extension that is absent is not one with nothing in it.
type (
	writtenTranscript struct {
		Version   int               `json:"version"`
		Start     start             `json:"start"`
		View      View              `json:"view"`
		Client    address           `json:"client,omitzero"`
		Server    address           `json:"server,omitzero"`
		Hello     json.RawMessage   `json:"hello,omitempty"`
		Choice    json.RawMessage   `json:"choice,omitempty"`
		Messages  []json.RawMessage `json:"messages,omitzero"`
		Omitted   int               `json:"omitted,omitempty"`
		NotTLS    *escaped          `json:"not_tls,omitempty"`
		Completed bool              `json:"completed"`
		Use       Use               `json:"use"`
		End       json.RawMessage   `json:"end"`
	}

	writtenHello struct {
		Size        int               `json:"size"`
		Version     Version           `json:"legacy_version"`
		Versions    []Version         `json:"versions,omitzero"`
		Suites      []Suite           `json:"suites,omitzero"`
		Extensions  []Extension       `json:"extensions,omitzero"`
		Groups      []Group           `json:"groups,omitzero"`
		KeyShares   []Group           `json:"key_shares,omitzero"`
		Signatures  []SignatureScheme `json:"signatures,omitzero"`
		PSKModes    []PSKMode         `json:"psk_modes,omitzero"`
		ALPN        []escaped         `json:"alpn,omitzero"`
		ServerName  escaped           `json:"server_name,omitempty"`
		SessionID   bool              `json:"session_id"`
		TicketTLS12 bool              `json:"ticket_tls12"`
		PSK         bool              `json:"psk"`
		JA4         escaped           `json:"ja4,omitempty"`
	}

	writtenChoice struct {
		Version Version `json:"version"`
		Suite   Suite   `json:"suite"`
		Group   *Group  `json:"group,omitempty"`
		Resumed bool    `json:"resumed"`
		Retried bool    `json:"retried"`
	}

	writtenMessage struct {
		From      Side           `json:"from"`
		Type      MessageType    `json:"type"`
		Size      int            `json:"size"`
		Missing   int            `json:"missing,omitempty"`
		At        micros         `json:"at_us"`
		Write     int            `json:"write"`
		Encrypted bool           `json:"encrypted,omitempty"`
		Inferred  bool           `json:"inferred,omitempty"`
		Alert     *writtenAlert  `json:"alert,omitempty"`
		Ticket    *writtenTicket `json:"ticket,omitempty"`
	}

	writtenAlert struct {
		Fatal       bool             `json:"fatal"`
		Description AlertDescription `json:"description"`
	}

	writtenTicket struct {
		Lifetime micros `json:"lifetime_us"`
		Size     int    `json:"size"`
	}

	writtenEnd struct {
		How   EndKind `json:"how"`
		By    Side    `json:"by"`
		After int     `json:"after"`
		Err   escaped `json:"err,omitempty"`
	}
)

// An escaped is a string of strangers, written as escape does.
type escaped string

func (e escaped) MarshalText() ([]byte, error) { return []byte(escape(string(e))), nil }

func (e *escaped) UnmarshalText(text []byte) error {
	raw, err := unescape(string(text))
	*e = escaped(raw)
	return err
}

// An address names itself when it cannot be read.
type address struct{ netip.AddrPort }

func (a *address) UnmarshalText(text []byte) error {
	if err := a.AddrPort.UnmarshalText(text); err != nil {
		return fmt.Errorf("address %s: write it as 192.0.2.1:25 or [2001:db8::1]:25", quoted(string(text)))
	}
	return nil
}

// A start names itself when it cannot be read.
type start struct{ time.Time }

func (s *start) UnmarshalJSON(data []byte) error {
	if err := s.Time.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("start %s: write it as RFC 3339 does, 2024-10-24T09:15:02Z", quoted(string(data)))
	}
	return nil
}

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
		End: raw(writtenEnd{t.End.Kind, t.End.By, t.End.After, escaped(t.End.Err)}),
	}
	if t.ClientHello != nil {
		w.Hello = raw(writeHello(t.ClientHello))
	}
	if t.ServerHello != nil {
		w.Choice = raw(writeChoice(t.ServerHello))
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

func writeHello(h *ClientHello) writtenHello {
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

func writeChoice(c *ServerHello) writtenChoice {
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

// MaxSize bounds what [Parse] reads, in bytes. A ClientHello of 64 KiB, the most that
// crypto/tls takes, needs up to 1.7 MB when it is nothing but a list of long names.
const MaxSize = 2 << 20

// maxNotTLS is the bound of [Transcript.NotTLS].
const maxNotTLS = 16

// Parse reads a transcript in the JSON of docs/transcript-format.md, as MarshalJSON and
// so [json.Marshal] write it. At most [MaxSize] bytes are taken: who reads a file reads one
// byte more, so that too much is told from just enough.
//
// A field that the format does not have is refused, not passed over: a transcript is read
// back exactly or not at all, and a misspelt field in a file by hand would else be a zero
// that nobody sees. Errors name the field and say what to write there.
//
// Parse keeps no reference to data and is safe for concurrent use.
func Parse(data []byte) (*Transcript, error) {
	t := new(Transcript)
	if err := t.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	return t, nil
}

// UnmarshalJSON is [Parse] for encoding/json.
func (t *Transcript) UnmarshalJSON(data []byte) error {
	if len(data) > MaxSize {
		return fmt.Errorf("handshake: transcript of %d bytes: more than %d are not read", len(data), MaxSize)
	}
	if err := checkVersion(data); err != nil {
		return fmt.Errorf("handshake: transcript: %w", err)
	}
	var w writtenTranscript
	if err := strict(data, &w); err != nil {
		return fmt.Errorf("handshake: transcript: %w", err)
	}
	read, err := w.transcript()
	if err != nil {
		return fmt.Errorf("handshake: transcript: %w", err)
	}
	*t = read
	return nil
}

// checkVersion goes before all else: a newer version has fields that are not known here.
func checkVersion(data []byte) error {
	var w struct{ Version json.Number }
	if err := json.Unmarshal(data, &w); err != nil {
		return worded(err)
	}
	switch w.Version.String() {
	case fmt.Sprint(formatVersion):
		return nil
	case "":
		return fmt.Errorf(`no field version: a transcript begins {"version": %d`, formatVersion)
	}
	return fmt.Errorf("version %s is not known, only %d: read it with the release that wrote it, or a later one",
		w.Version, formatVersion)
}

// strict reads one value and refuses fields that it does not have.
func strict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return worded(decoder.Decode(into))
}

// worded says what encoding/json says in the words of the format, not of Go.
func worded(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("no JSON at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind):
		return fmt.Errorf("field %s: %s where %s belongs", kind.Field, kind.Value, kind.Type)
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return fmt.Errorf("field %s is not known in version %d: correct its name or remove it", name, formatVersion)
	}
	return err
}

func (w *writtenTranscript) transcript() (t Transcript, err error) {
	if len(w.Messages) > MaxMessages {
		return t, fmt.Errorf("messages: %d of them, at most %d: count the rest in omitted", len(w.Messages), MaxMessages)
	}
	t = Transcript{
		Start: w.Start.UTC(), View: w.View, Client: w.Client.AddrPort, Server: w.Server.AddrPort,
		Omitted: w.Omitted, Completed: w.Completed, Use: w.Use,
	}
	if t.End, err = readEnd(w.End); err != nil {
		return t, fmt.Errorf("end: %w", err)
	}
	if t.ClientHello, err = readHello(w.Hello); err != nil {
		return t, fmt.Errorf("hello: %w", err)
	}
	if t.ServerHello, err = readChoice(w.Choice); err != nil {
		return t, fmt.Errorf("choice: %w", err)
	}
	if w.Messages != nil {
		t.Messages = make([]Message, len(w.Messages))
	}
	for i, data := range w.Messages {
		if t.Messages[i], err = readMessage(data); err != nil {
			return t, fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	if w.NotTLS != nil {
		t.NotTLS = []byte(*w.NotTLS)
	}
	if len(t.NotTLS) > maxNotTLS {
		return t, fmt.Errorf("not_tls: %d bytes, at most %d", len(t.NotTLS), maxNotTLS)
	}
	return t, notNegative("omitted", t.Omitted)
}

// part reads an object that may be absent: nil.
func part[W any](data json.RawMessage) (*W, error) {
	if len(data) == 0 || string(data) == "null" {
		return nil, nil
	}
	w := new(W)
	if err := strict(data, w); err != nil {
		return nil, err
	}
	return w, nil
}

func readHello(data json.RawMessage) (*ClientHello, error) {
	w, err := part[writtenHello](data)
	if w == nil {
		return nil, err
	}
	return &ClientHello{
		Size:        w.Size,
		Version:     uint16(w.Version),
		Versions:    as[uint16](w.Versions),
		Suites:      as[uint16](w.Suites),
		Extensions:  as[uint16](w.Extensions),
		Groups:      as[uint16](w.Groups),
		KeyShares:   as[uint16](w.KeyShares),
		Signatures:  as[uint16](w.Signatures),
		PSKModes:    as[uint8](w.PSKModes),
		ALPN:        asStrings[string](w.ALPN),
		ServerName:  string(w.ServerName),
		SessionID:   w.SessionID,
		TicketTLS12: w.TicketTLS12,
		PSK:         w.PSK,
		JA4:         string(w.JA4),
	}, notNegative("size", w.Size)
}

func readChoice(data json.RawMessage) (*ServerHello, error) {
	w, err := part[writtenChoice](data)
	if w == nil {
		return nil, err
	}
	c := &ServerHello{Version: uint16(w.Version), Suite: uint16(w.Suite), Resumed: w.Resumed, Retried: w.Retried}
	if w.Group != nil {
		c.Group = uint16(*w.Group)
	}
	return c, nil
}

func readMessage(data json.RawMessage) (Message, error) {
	w, err := part[writtenMessage](data)
	if w == nil {
		return Message{}, err
	}
	m := Message{
		From: w.From, Type: w.Type, Size: w.Size, Missing: w.Missing, At: time.Duration(w.At),
		Write: w.Write, Encrypted: w.Encrypted, Inferred: w.Inferred,
	}
	if w.Alert != nil {
		m.Alert = &Alert{w.Alert.Fatal, uint8(w.Alert.Description)}
	}
	if w.Ticket != nil {
		m.Ticket = &Ticket{time.Duration(w.Ticket.Lifetime), w.Ticket.Size}
	}
	return m, notNegative("size, missing and write", min(w.Size, w.Missing, w.Write))
}

func readEnd(data json.RawMessage) (End, error) {
	w, err := part[writtenEnd](data)
	if w == nil {
		return End{}, err
	}
	return End{w.How, w.By, w.After, string(w.Err)}, notNegative("after", w.After)
}

func notNegative(field string, n int) error {
	if n < 0 {
		return fmt.Errorf("%s: %d, but it counts from 0", field, n)
	}
	return nil
}

// micros is a duration written as microseconds, in decimals where it has nanoseconds. It is
// no float64, which loses them after 104 days.
type micros time.Duration

func (m micros) MarshalJSON() ([]byte, error) {
	sign, ns := "", uint64(m)
	if m < 0 {
		sign, ns = "-", -ns
	}
	text := fmt.Sprintf("%s%d.%03d", sign, ns/1000, ns%1000)
	return []byte(strings.TrimSuffix(strings.TrimRight(text, "0"), ".")), nil
}

func (m *micros) UnmarshalJSON(number []byte) error {
	whole, decimals, _ := strings.Cut(string(number), ".")
	if len(decimals) <= 3 {
		ns, err := strconv.ParseInt(whole+(decimals + "000")[:3], 10, 64)
		if err == nil {
			*m = micros(ns)
			return nil
		}
	}
	return fmt.Errorf("time %s: write microseconds, such as 1250 or 1250.125", quoted(string(number)))
}

// escape writes what a stranger sent as it would stand in a Go string: letters outside
// ASCII, control characters and bytes that are no UTF-8 as \u and \x. So it can neither
// steer a terminal nor hide among other letters, and unescape gives it back to the byte.
func escape(s string) string {
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}

func unescape(s string) (string, error) {
	raw, err := strconv.Unquote(`"` + s + `"`)
	if err != nil {
		return "", fmt.Errorf(`%s is not escaped as in a Go string: write \\ for a backslash and \x00 for a byte`, quoted(s))
	}
	return raw, nil
}

// quoted returns the start of s in quotes, for an error.
func quoted(s string) string { return safetext.Quote(s, 60) }
