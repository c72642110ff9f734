package handshake

// A Version is a protocol version on the wire. It is named as people do, "TLS 1.2".
type Version uint16

// String is the name; of a number without one, 0x and its digits.
func (v Version) String() string { return versionNames.name(v) }

// MarshalText gives what String does.
func (v Version) MarshalText() ([]byte, error) { return versionNames.marshal(v) }

// UnmarshalText takes what MarshalText gives, and every number as 0x and digits.
func (v *Version) UnmarshalText(text []byte) error { return versionNames.unmarshal(text, v) }

var versionNames = newRegistry("version", map[Version]string{
	0x0002:       "SSL 2.0",
	0x0300:       "SSL 3.0",
	0x0301:       "TLS 1.0",
	0x0302:       "TLS 1.1",
	0x0303:       "TLS 1.2",
	VersionTLS13: "TLS 1.3",
}, grease16[Version]()...)
