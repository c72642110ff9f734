package handshake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

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
	if t.Hello, err = readHello(w.Hello); err != nil {
		return t, fmt.Errorf("hello: %w", err)
	}
	if t.Choice, err = readChoice(w.Choice); err != nil {
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
