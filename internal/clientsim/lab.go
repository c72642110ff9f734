// Package lab lets many clients visit many mail servers on loopback, and tells who got in
// where: the matrix of ticket order and client.
//
// The clients are the personas of package persona, and the real ones that are found
// (OpenSSL, GnuTLS, swaks). The servers are go-smtp on crypto/tls, as it is, behind the gate
// with each of its policies, and with tickets off; and on demand the real ones that are found.
// Each client comes twice if it was given a session: the second time it offers that.
//
// All servers have the same certificate, RSA and trusted, so that it keeps nobody out.
//
// # Transcripts
//
// A handshake is recorded at the client's end: a persona's by itself, a real client's by a relay
// on loopback that passes its bytes on. What is encrypted is opened with the client's own keys.
// Swaks does not give its keys away: its messages of TLS 1.3 are told by order and size.
//
// # Limits
//
// Nothing listens or connects but on 127.0.0.1. Three servers run at once, each with two
// visits at most. What is started ends with [Lab.Run], and so do its files.
package clientsim

import (
	"context"
	"io"
	"time"

	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// A Lab says what is tried.
type Lab struct {
	// Peers are the folders to look for real mail servers in, before PATH and the usual
	// folders for servers: mox and maddy as mox-VERSION and maddy-VERSION. Nil: no real
	// servers are looked for.
	Peers []string

	// Timeout bounds the whole. What is not done by then could not be told. It must be positive.
	Timeout time.Duration

	// Progress, when not nil, is told how many cells of how many are done. It is called
	// concurrently.
	Progress func(done, all int)
}

// Run starts the servers, lets each client visit each, and ends the servers. The error is
// that of ctx when it ended, or that this machine has no room for a certificate.
func (l *Lab) Run(ctx context.Context) (*Matrix, error) {
	limited, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	m := &Matrix{Start: time.Now()}
	err := testpeer.Play(limited, io.Discard, nil, func(s *testpeer.Stage) error {
		m.fill(limited, l.gather(s, m))
		return nil
	})
	if err == nil {
		err = ctx.Err()
	}
	m.Took = time.Since(m.Start)
	return m, err
}

// gather finds servers and clients, and notes those that are not here.
func (l *Lab) gather(s *testpeer.Stage, m *Matrix) *bench {
	b := &bench{cert: testcert.New(s, testcert.Options{RSA: true}), progress: l.Progress}
	b.servers = goServers()
	for _, p := range persona.All() {
		b.clients = append(b.clients, personaClient(p))
	}
	tools, missing := l.programs().clients(s.Context())
	b.clients, m.Absent = append(b.clients, tools...), missing
	if l.Peers != nil {
		peers, missing := l.programs().servers(s.Context())
		b.servers, m.Absent = append(b.servers, peers...), append(m.Absent, missing...)
	}
	return b
}

func (l *Lab) programs() programs { return programs(l.Peers) }
