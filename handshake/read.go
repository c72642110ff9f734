package handshake

import (
	"encoding/json"
	"fmt"
	"time"
)

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

func readHello(data json.RawMessage) (*Hello, error) {
	w, err := part[writtenHello](data)
	if w == nil {
		return nil, err
	}
	return &Hello{
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

func readChoice(data json.RawMessage) (*Choice, error) {
	w, err := part[writtenChoice](data)
	if w == nil {
		return nil, err
	}
	c := &Choice{Version: uint16(w.Version), Suite: uint16(w.Suite), Resumed: w.Resumed, Retried: w.Retried}
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
		m.Alert = &AlertText{w.Alert.Fatal, uint8(w.Alert.Description)}
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
