package handshake

// The words of this package's own types, in the order of their constants.
var (
	typeNames = newWords[Type]("message type", "Unknown", "ClientHello", "HelloRetryRequest", "ServerHello",
		"EncryptedExtensions", "CertificateRequest", "Certificate", "CertificateStatus", "CertificateVerify",
		"ServerKeyExchange", "ServerHelloDone", "ClientKeyExchange", "Finished", "NewSessionTicket",
		"EndOfEarlyData", "KeyUpdate", "HelloRequest", "ChangeCipherSpec", "Alert", "ApplicationData", "NotTLS")
	viewNames = newWords[View]("view", "server", "client", "wire")
	sideNames = newWords[Side]("side", "nobody", "client", "server")
	useNames  = newWords[Use]("use", "unused", "spoke", "mailed")
	howNames  = newWords[How]("end", "open", "closed", "alerted", "reset", "timed_out", "dropped")
)

// String is the name in the RFC, "ClientHello".
func (t Type) String() string { return typeNames.name(t) }

// MarshalText gives what String does; an error for a number that is none of the constants.
func (t Type) MarshalText() ([]byte, error) { return typeNames.marshal(t) }

// UnmarshalText takes what MarshalText gives.
func (t *Type) UnmarshalText(text []byte) error { return typeNames.unmarshal(text, t) }

// String is "server", "client" or "wire".
func (v View) String() string { return viewNames.name(v) }

// MarshalText gives what String does; an error for a number that is none of the constants.
func (v View) MarshalText() ([]byte, error) { return viewNames.marshal(v) }

// UnmarshalText takes what MarshalText gives.
func (v *View) UnmarshalText(text []byte) error { return viewNames.unmarshal(text, v) }

// String is "nobody", "client" or "server".
func (s Side) String() string { return sideNames.name(s) }

// MarshalText gives what String does; an error for a number that is none of the constants.
func (s Side) MarshalText() ([]byte, error) { return sideNames.marshal(s) }

// UnmarshalText takes what MarshalText gives.
func (s *Side) UnmarshalText(text []byte) error { return sideNames.unmarshal(text, s) }

// String is "unused", "spoke" or "mailed".
func (u Use) String() string { return useNames.name(u) }

// MarshalText gives what String does; an error for a number that is none of the constants.
func (u Use) MarshalText() ([]byte, error) { return useNames.marshal(u) }

// UnmarshalText takes what MarshalText gives.
func (u *Use) UnmarshalText(text []byte) error { return useNames.unmarshal(text, u) }

// String is the constant's name in small letters, "timed_out".
func (h How) String() string { return howNames.name(h) }

// MarshalText gives what String does; an error for a number that is none of the constants.
func (h How) MarshalText() ([]byte, error) { return howNames.marshal(h) }

// UnmarshalText takes what MarshalText gives.
func (h *How) UnmarshalText(text []byte) error { return howNames.unmarshal(text, h) }
