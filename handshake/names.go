package handshake

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// A number is a value with a name, of TLS or of this package.
type number interface{ ~uint8 | ~uint16 }

// A registry maps one kind of number to names and back.
type registry[N number] struct {
	kind    string // the kind, for errors
	oneOf   string // all names, if a number must have one
	names   map[N]string
	numbers map[string]N
}

// newRegistry returns a registry of names and of the GREASE values (RFC 8701). Those
// names include the number, so that they can be read back.
func newRegistry[N number](kind string, names map[N]string, grease ...N) *registry[N] {
	for _, n := range grease {
		names[n] = "GREASE " + hexOf(n)
	}
	r := &registry[N]{kind: kind, names: names, numbers: make(map[string]N, len(names))}
	for n, name := range names {
		r.numbers[name] = n
	}
	return r
}

// newWords returns the registry of a type of this package, with the names of 0, 1, 2 and
// so on.
func newWords[N number](kind string, names ...string) *registry[N] {
	of := make(map[N]string, len(names))
	for i, name := range names {
		of[N(i)] = name
	}
	r := newRegistry(kind, of)
	r.oneOf = strings.Join(names, ", ")
	return r
}

// grease16 returns the two-byte GREASE values (RFC 8701, Section 2).
func grease16[N ~uint16]() []N {
	var values []N
	for n := 0x0a0a; n <= 0xfafa; n += 0x1010 {
		values = append(values, N(n))
	}
	return values
}

// hexOf formats n without its String method, which calls hexOf.
func hexOf[N number](n N) string { return fmt.Sprintf("0x%0*x", width[N]()/4, uint16(n)) }

func width[N number]() int { return bits.Len64(uint64(^N(0))) }

// name returns the name of n, or 0x and hexadecimal digits if it has none.
func (r *registry[N]) name(n N) string {
	if name, ok := r.names[n]; ok {
		return name
	}
	return hexOf(n)
}

func (r *registry[N]) marshal(n N) ([]byte, error) {
	if _, ok := r.names[n]; !ok && r.oneOf != "" {
		return nil, fmt.Errorf("handshake: no %s has the number %d", r.kind, n)
	}
	return []byte(r.name(n)), nil
}

// unmarshal accepts every number as 0x too: the writer may not have known its name.
func (r *registry[N]) unmarshal(text []byte, to *N) error {
	if n, ok := r.numbers[string(text)]; ok {
		*to = n
		return nil
	}
	if r.oneOf != "" {
		return fmt.Errorf("%s %s is not known: write one of %s", r.kind, quoted(string(text)), r.oneOf)
	}
	digits, isHex := strings.CutPrefix(string(text), "0x")
	n, err := strconv.ParseUint(digits, 16, width[N]())
	if err != nil || !isHex {
		return fmt.Errorf("%s %s is not known: write its number, as in %s", r.kind, quoted(string(text)), hexOf(N(1)))
	}
	*to = N(n)
	return nil
}

// The names of this package's own types, in the order of their constants.
var (
	typeNames = newWords[MessageType]("message type", "Unknown", "ClientHello", "HelloRetryRequest", "ServerHello",
		"EncryptedExtensions", "CertificateRequest", "Certificate", "CertificateStatus", "CertificateVerify",
		"ServerKeyExchange", "ServerHelloDone", "ClientKeyExchange", "Finished", "NewSessionTicket",
		"EndOfEarlyData", "KeyUpdate", "HelloRequest", "ChangeCipherSpec", "Alert", "ApplicationData", "NotTLS")
	viewNames = newWords[View]("view", "server", "client", "wire")
	sideNames = newWords[Side]("side", "unknown", "client", "server")
	useNames  = newWords[Use]("use", "unused", "data", "mail")
	howNames  = newWords[EndKind]("end", "open", "closed", "alerted", "reset", "timed_out", "dropped")
	ackNames  = newWords[Acknowledged]("acknowledgement", "unknown", "none", "part", "all")
)

// String returns the name in the RFC, "ClientHello".
func (t MessageType) String() string { return typeNames.name(t) }

// MarshalText returns the same text as String. Only the constants have one.
func (t MessageType) MarshalText() ([]byte, error) { return typeNames.marshal(t) }

// UnmarshalText reads what MarshalText writes.
func (t *MessageType) UnmarshalText(text []byte) error { return typeNames.unmarshal(text, t) }

// String returns "server", "client" or "wire".
func (v View) String() string { return viewNames.name(v) }

// MarshalText returns the same text as String. Only the constants have one.
func (v View) MarshalText() ([]byte, error) { return viewNames.marshal(v) }

// UnmarshalText reads what MarshalText writes.
func (v *View) UnmarshalText(text []byte) error { return viewNames.unmarshal(text, v) }

// String returns "unknown", "client" or "server".
func (s Side) String() string { return sideNames.name(s) }

// MarshalText returns the same text as String. Only the constants have one.
func (s Side) MarshalText() ([]byte, error) { return sideNames.marshal(s) }

// UnmarshalText reads what MarshalText writes.
func (s *Side) UnmarshalText(text []byte) error { return sideNames.unmarshal(text, s) }

// String returns "unused", "data" or "mail".
func (u Use) String() string { return useNames.name(u) }

// MarshalText returns the same text as String. Only the constants have one.
func (u Use) MarshalText() ([]byte, error) { return useNames.marshal(u) }

// UnmarshalText reads what MarshalText writes.
func (u *Use) UnmarshalText(text []byte) error { return useNames.unmarshal(text, u) }

// String returns "open", "closed", "alerted", "reset", "timed_out" or "dropped".
func (h EndKind) String() string { return howNames.name(h) }

// MarshalText returns the same text as String. Only the constants have one.
func (h EndKind) MarshalText() ([]byte, error) { return howNames.marshal(h) }

// UnmarshalText reads what MarshalText writes.
func (h *EndKind) UnmarshalText(text []byte) error { return howNames.unmarshal(text, h) }

// String returns "unknown", "none", "part" or "all".
func (a Acknowledged) String() string { return ackNames.name(a) }

// MarshalText returns the same text as String. Only the constants have one.
func (a Acknowledged) MarshalText() ([]byte, error) { return ackNames.marshal(a) }

// UnmarshalText reads what MarshalText writes.
func (a *Acknowledged) UnmarshalText(text []byte) error { return ackNames.unmarshal(text, a) }
