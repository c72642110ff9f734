package handshake

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/safetext"
)

// formatVersion is the version of docs/transcript-format.md. A new field makes a new
// version: Parse reads all versions up to its own and knows every field of each.
const formatVersion = 2

// MaxSize bounds what [Parse] reads, in bytes. A ClientHello of 64 KiB, the most that
// crypto/tls takes, needs up to 1.7 MB when it is nothing but a list of long names.
const MaxSize = 2 << 20

// maxNotTLS is the bound of [Transcript.NotTLS].
const maxNotTLS = 16

// Parse reads a transcript in the JSON of docs/transcript-format.md, as [json.Marshal]
// writes it. It reads at most [MaxSize] bytes.
//
// Parse refuses unknown fields: a transcript is read back exactly or not at all, and a
// misspelt field in a file written by hand would otherwise be a zero that is easily
// missed. Errors name the field and say what to write there.
//
// Parse keeps no reference to data and is safe for concurrent use.
func Parse(data []byte) (*Transcript, error) {
	t := new(Transcript)
	if err := t.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	return t, nil
}

// MarshalJSON writes t as docs/transcript-format.md says: names rather than numbers,
// times in RFC 3339 and UTC, durations in microseconds, text from the peer escaped as in
// a Go string. [Parse] reads it back exactly, except that Start is in UTC.
//
// It returns an error for a transcript that no recorder makes: a MessageType, Side,
// View, Use or EndKind that is none of the constants, or a year past 9999.
func (t Transcript) MarshalJSON() ([]byte, error) {
	type plain Transcript
	w := struct {
		Version int      `json:"version"`
		NotTLS  *escaped `json:"not_tls,omitempty"`
		plain
	}{Version: formatVersion, plain: plain(t)}
	w.Start = t.Start.UTC()
	if t.NotTLS != nil {
		text := escaped(t.NotTLS)
		w.NotTLS = &text
	}
	return json.Marshal(w)
}

// UnmarshalJSON is [Parse] for encoding/json.
func (t *Transcript) UnmarshalJSON(data []byte) error {
	if len(data) > MaxSize {
		return fmt.Errorf("handshake: transcript of %d bytes: more than %d are not read", len(data), MaxSize)
	}
	var read Transcript
	if err := read.unmarshal(data); err != nil {
		return fmt.Errorf("handshake: transcript: %w", err)
	}
	*t = read
	return nil
}

func (t *Transcript) unmarshal(data []byte) error {
	version, err := versionOf(data)
	if err == nil && version == 1 {
		data, err = upgrade(data)
	}
	if err != nil {
		return err
	}
	type plain Transcript
	w := struct {
		Version     int               `json:"version"`
		Client      address           `json:"client"`
		Server      address           `json:"server"`
		ClientHello json.RawMessage   `json:"client_hello"`
		ServerHello json.RawMessage   `json:"server_hello"`
		Messages    []json.RawMessage `json:"messages"`
		NotTLS      *escaped          `json:"not_tls"`
		End         json.RawMessage   `json:"end"`
		*plain
	}{plain: (*plain)(t)}
	if err := strict(data, &w); err != nil {
		return err
	}
	t.Start, t.Client, t.Server = t.Start.UTC(), w.Client.AddrPort, w.Server.AddrPort
	if len(w.Messages) > MaxMessages {
		return fmt.Errorf("messages: %d of them, at most %d: count the rest in omitted", len(w.Messages), MaxMessages)
	}
	if w.Messages != nil {
		t.Messages = make([]Message, len(w.Messages))
	}
	for i, data := range w.Messages {
		if err := part(fmt.Sprintf("messages[%d]", i), data, &t.Messages[i]); err != nil {
			return err
		}
	}
	if w.NotTLS != nil {
		t.NotTLS = []byte(*w.NotTLS)
	}
	if len(t.NotTLS) > maxNotTLS {
		return fmt.Errorf("not_tls: %d bytes, at most %d", len(t.NotTLS), maxNotTLS)
	}
	return cmp.Or(
		part("client_hello", w.ClientHello, &t.ClientHello),
		part("server_hello", w.ServerHello, &t.ServerHello),
		part("end", w.End, &t.End),
		notNegative("omitted", t.Omitted),
		notNegative("client, server and exchanged in gaps", min(t.Gaps.Client, t.Gaps.Server, t.Gaps.Exchanged)))
}

// part reads the object of a field, which may be absent.
func part(field string, data json.RawMessage, into any) error {
	if len(data) == 0 {
		return nil
	}
	if err := strict(data, into); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// MarshalJSON writes h as part of a transcript.
func (h ClientHello) MarshalJSON() ([]byte, error) {
	type plain ClientHello
	h.ServerName, h.JA4 = escape(h.ServerName), escape(h.JA4)
	h.ALPN = slices.Clone(h.ALPN)
	for i, name := range h.ALPN {
		h.ALPN[i] = escape(name)
	}
	return json.Marshal(plain(h))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (h *ClientHello) UnmarshalJSON(data []byte) error {
	type plain ClientHello
	*h = ClientHello{}
	if err := strict(data, (*plain)(h)); err != nil {
		return err
	}
	texts := []*string{&h.ServerName, &h.JA4}
	for i := range h.ALPN {
		texts = append(texts, &h.ALPN[i])
	}
	for _, text := range texts {
		if err := unescape(text); err != nil {
			return err
		}
	}
	return notNegative("size", h.Size)
}

// MarshalJSON writes m as part of a transcript.
func (m Message) MarshalJSON() ([]byte, error) {
	type plain Message
	return json.Marshal(struct {
		At micros `json:"at_us"`
		plain
	}{micros(m.At), plain(m)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Message) UnmarshalJSON(data []byte) error {
	type plain Message
	*m = Message{}
	w := struct {
		At micros `json:"at_us"`
		*plain
	}{plain: (*plain)(m)}
	if err := strict(data, &w); err != nil {
		return err
	}
	m.At = time.Duration(w.At)
	return notNegative("size, missing and write", min(m.Size, m.Missing, m.Write))
}

// MarshalJSON writes t as part of a transcript.
func (t Ticket) MarshalJSON() ([]byte, error) {
	type plain Ticket
	return json.Marshal(struct {
		Lifetime micros `json:"lifetime_us"`
		plain
	}{micros(t.Lifetime), plain(t)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Ticket) UnmarshalJSON(data []byte) error {
	type plain Ticket
	*t = Ticket{}
	w := struct {
		Lifetime micros `json:"lifetime_us"`
		*plain
	}{plain: (*plain)(t)}
	err := strict(data, &w)
	t.Lifetime = time.Duration(w.Lifetime)
	return err
}

// MarshalJSON writes e as part of a transcript.
func (e End) MarshalJSON() ([]byte, error) {
	type plain End
	e.Err = escape(e.Err)
	return json.Marshal(struct {
		plain
		At micros `json:"at_us,omitempty"`
	}{plain(e), micros(e.At)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *End) UnmarshalJSON(data []byte) error {
	type plain End
	*e = End{}
	w := struct {
		At micros `json:"at_us"`
		*plain
	}{plain: (*plain)(e)}
	if err := strict(data, &w); err != nil {
		return err
	}
	e.At = time.Duration(w.At)
	if err := unescape(&e.Err); err != nil {
		return err
	}
	return notNegative("after", e.After)
}

// versionOf goes before all else: a newer version has fields that are not known here.
func versionOf(data []byte) (int, error) {
	var w struct{ Version json.Number }
	if err := json.Unmarshal(data, &w); err != nil {
		return 0, worded(err)
	}
	if w.Version == "" {
		return 0, fmt.Errorf(`no field version: a transcript begins {"version": %d`, formatVersion)
	}
	version, err := strconv.Atoi(w.Version.String())
	if err != nil || version < 1 || version > formatVersion {
		return 0, fmt.Errorf("version %s is not known, only 1 to %d: read it with the release that wrote it, or a later one",
			quoted(w.Version.String()), formatVersion)
	}
	return version, nil
}

// strict reads one value and refuses fields that it does not have.
func strict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return worded(decoder.Decode(into))
}

// worded puts an error of encoding/json in the words of the format, not of Go.
func worded(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var start *time.ParseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("no JSON at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind):
		field := strings.TrimPrefix(kind.Field, "plain.") // the struct embedded above
		return fmt.Errorf("field %s: %s where %s belongs", field, kind.Value, kind.Type)
	case errors.As(err, &start):
		return fmt.Errorf("start %s: write it as RFC 3339 does, 2024-10-24T09:15:02Z", quoted(start.Value))
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return fmt.Errorf("field %s is not known in version %d: correct its name or remove it", name, formatVersion)
	}
	return err
}

func notNegative(field string, n int) error {
	if n < 0 {
		return fmt.Errorf("%s: %d, but it counts from 0", field, n)
	}
	return nil
}

// An address names itself when it cannot be read.
type address struct{ netip.AddrPort }

func (a *address) UnmarshalText(text []byte) error {
	if err := a.AddrPort.UnmarshalText(text); err != nil {
		return fmt.Errorf("address %s: write it as 192.0.2.1:25 or [2001:db8::1]:25", quoted(string(text)))
	}
	return nil
}

// micros is a duration written as microseconds, with decimals where it has nanoseconds.
// It is no float64, which loses them after 104 days.
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

// An escaped is text from the peer, written as escape does.
type escaped string

func (e escaped) MarshalText() ([]byte, error) { return []byte(escape(string(e))), nil }

func (e *escaped) UnmarshalText(text []byte) error {
	raw := string(text)
	err := unescape(&raw)
	*e = escaped(raw)
	return err
}

// escape writes text from the peer as in a Go string: letters outside ASCII, control
// characters and bytes that are not UTF-8 become \u and \x. So it cannot steer a terminal
// or pass for other letters, and unescape restores each byte.
func escape(s string) string {
	literal := strconv.QuoteToASCII(s)
	return literal[1 : len(literal)-1]
}

func unescape(s *string) error {
	raw, err := strconv.Unquote(`"` + *s + `"`)
	if err != nil {
		return fmt.Errorf(`%s is not escaped as in a Go string: write \\ for a backslash and \x00 for a byte`, quoted(*s))
	}
	*s = raw
	return nil
}

// quoted returns the start of s in quotes, for an error.
func quoted(s string) string { return safetext.Quote(s, 60) }
