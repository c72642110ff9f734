package handshake

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
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
		Type      Type           `json:"type"`
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
		How   How     `json:"how"`
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
		return fmt.Errorf("address %s: write it as 192.0.2.1:25 or [2001:db8::1]:25", shown(string(text)))
	}
	return nil
}

// A start names itself when it cannot be read.
type start struct{ time.Time }

func (s *start) UnmarshalJSON(data []byte) error {
	if err := s.Time.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("start %s: write it as RFC 3339 does, 2024-10-24T09:15:02Z", shown(string(data)))
	}
	return nil
}
