package persona

import (
	"crypto/tls"
	"net"
	"slices"
	"time"

	utls "github.com/refraction-networking/utls"
)

// A Persona is a client of mail servers with one behaviour. Those that [All] and
// [Find] return are shared: they must not be changed.
type Persona struct {
	ID   string // lower-case words joined by hyphens
	Case string // ID of the case of package interop that it belongs to; empty: none
	Does string // what it does, in one line without a full stop

	// Healthy reports that it does what most senders do: a server where it does not get
	// in is down, or has a fault of its own.
	Healthy bool

	// Pause is how long it waits at one point, which Does names; most do not.
	Pause time.Duration

	// A persona is a crypto/tls client with configure, if that is not nil, or one with
	// the ClientHello of shape, which is made anew for each connection.
	configure func(*tls.Config, Target) error
	shape     func(Target) *utls.ClientHelloSpec

	// below, when not nil, returns what goes between TLS and the connection.
	below func(net.Conn) net.Conn

	// minds, when not nil, says why the client leaves over a ticket of that many bytes,
	// or nil if it stays.
	minds func(ticket int) error

	hesitates bool // for Pause, before its first command over TLS
	pipelines bool // a command in clear behind STARTTLS
	fallsBack bool // comes back in plaintext when TLS fails
}

// All returns the personas: the healthy ones, then those of cases, in the order of the
// catalogue of package interop, each with its relatives.
func All() []*Persona { return slices.Clone(catalogue) }

// Find returns the persona with the given ID.
func Find(id string) (*Persona, bool) {
	i := slices.IndexFunc(catalogue, func(p *Persona) bool { return p.ID == id })
	if i < 0 {
		return nil, false
	}
	return catalogue[i], true
}
