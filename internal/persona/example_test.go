package persona_test

import (
	"context"
	"fmt"

	"postern/internal/persona"
)

// A mail server on crypto/tls as it is lets most senders in, and not the one that minds
// where the session ticket comes.
func Example() {
	server := startExample()
	defer server.Close()

	for _, id := range []string{"healthy-openssl", "early-ticket", "healthy-openssl"} {
		p, _ := persona.Find(id)
		visit := p.Visit(context.Background(), persona.Target{Addr: server.Addr().String(), EHLO: "probe.example.org"})
		fmt.Println(id, visit.In, visit.Stage)
	}
	// Output:
	// healthy-openssl true after TLS
	// early-ticket false handshake
	// healthy-openssl true after TLS
}
