package handshake

// A PSKMode is a way of resumption that a client can take (RFC 8446, Section 4.2.9),
// "psk_dhe_ke".
type PSKMode uint8

// String is the name; of a number without one, 0x and its digits.
func (p PSKMode) String() string { return pskModeNames.name(p) }

// MarshalText gives what String does.
func (p PSKMode) MarshalText() ([]byte, error) { return pskModeNames.marshal(p) }

// UnmarshalText takes what MarshalText gives, and every number as 0x and digits.
func (p *PSKMode) UnmarshalText(text []byte) error { return pskModeNames.unmarshal(text, p) }

// pskModeNames has one-byte GREASE values (RFC 8701, Section 2).
var pskModeNames = newRegistry("PSK key exchange mode", map[PSKMode]string{
	0: "psk_ke",
	1: "psk_dhe_ke",
}, 0x0b, 0x2a, 0x49, 0x68, 0x87, 0xa6, 0xc5, 0xe4)
