package capture

import (
	"net/netip"
	"time"

	"postern/handshake"
)

// A Conversation is one TCP connection that mail or TLS was seen on. Its texts are
// what strangers sent, byte for byte: escape them before they reach a terminal.
type Conversation struct {
	Client, Server netip.AddrPort

	// Start is when its first packet was captured, Packets how many there are.
	Start   time.Time
	Packets int

	// Headless reports that the capture begins later than the connection. Which
	// side is the client is then told by what they said, or by the ports.
	Headless bool

	// Lost counts the bytes of both sides that the capture lacks: packets that were
	// not captured, or not whole.
	Lost int

	// Protocol is what was spoken in the clear.
	Protocol Protocol

	// Banner is the first line of the server's greeting, Name what the client
	// called itself in EHLO, HELO or LHLO; each at most 512 bytes.
	Banner, Name string

	// StartTLS reports that the client asked for TLS, Refusal the server's answer
	// where that was no.
	StartTLS bool
	Refusal  string

	// Mail reports that the client sent a MAIL command in the clear.
	Mail bool

	// Transcript is the handshake, its View [handshake.OnWire]; nil if TLS did not begin.
	Transcript *handshake.Transcript

	number int // of its first packet
}
