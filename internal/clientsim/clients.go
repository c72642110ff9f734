package clientsim

import (
	"context"
	"io"
	"net"
	"path/filepath"

	"postern/handshake"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/testpeer"
)

// A client is one that can visit.
type client struct {
	Client
	visit func(context.Context, persona.Target) Cell
}

// personaClient lets a persona visit, and return if it was given a session.
func personaClient(p *persona.Persona) *client {
	return &client{Client{Name: p.ID, Does: p.Does}, func(ctx context.Context, t persona.Target) Cell {
		if p.Case == "early-ticket" {
			t.Dial = probe.DialSlowly
		}
		first := probe.Classify(p, p.Run(ctx, t))
		cell := Cell{Outcome: first.Outcome, Plaintext: first.Plaintext, Why: first.Reason(), First: first.Transcript}
		if first.Completed && first.Resumable() {
			second := p.Resume(ctx, t, first.Result)
			cell.Resumption, cell.Second = returned(second), second.Transcript
		}
		return cell
	}}
}

func returned(v *persona.Result) Resumption {
	switch {
	case !v.Completed:
		return ResumptionFailed
	case v.TLS.DidResume:
		return Resumed
	}
	return Full
}

// A tool is a real client.
type tool struct {
	program string
	version string // the argument that makes it tell its version
	does    string
	visit   func(s *testpeer.Scope, r *relay) (first, second testpeer.Delivery)
}

var tools = []tool{
	{"openssl", "version", "openssl s_client -starttls smtp; its session is kept with -sess_out, and offered with -sess_in", visitOpenSSL},
	{"gnutls-cli", "--version", "gnutls-cli --starttls-proto=smtp; it says EHLO, and resumes with ^resume^", visitGnuTLS},
	{"swaks", "--version", "swaks --tls, on Perl's Net::SSLeay; it cannot resume", visitSwaks},
}

// clients returns the real clients that are here, and tells which are not.
func (p programs) clients(ctx context.Context) (found []*client, missing []Missing) {
	for _, t := range tools {
		path, err := p.find(t.program)
		if err != nil {
			missing = append(missing, Missing{Name: t.program, Why: "not found"})
			continue
		}
		found = append(found, &client{
			Client{Name: t.program, Version: version(ctx, path, t.version), Real: true, Does: t.does},
			func(ctx context.Context, target persona.Target) Cell { return t.call(ctx, p, target.Addr) },
		})
	}
	return found, missing
}

// call lets the tool visit the server at addr through a relay.
func (t tool) call(ctx context.Context, p programs, addr string) Cell {
	var cell Cell
	err := testpeer.Run(ctx, io.Discard, p.find, func(s *testpeer.Scope) error {
		r := newRelay(s, addr)
		first, second := t.visit(s, r)
		cell = judge(first, second, r.transcripts(first.Reply != "", second.Reply != ""))
		return nil
	})
	if err != nil {
		return Cell{Outcome: probe.Inconclusive, Why: reason(err)}
	}
	return cell
}

// judge tells what the visits of a tool mean. One that came a second time was in at first.
func judge(first, second testpeer.Delivery, seen []*handshake.Transcript) Cell {
	if len(seen) == 0 || seen[0] == nil {
		return Cell{Outcome: probe.Inconclusive, Why: "it did not come to TLS"}
	}
	cell := Cell{Outcome: probe.Completed, First: seen[0]}
	switch {
	case len(seen) > 1:
		cell.Second = seen[1]
		cell.Resumption = returnOf(second, seen[1])
	case first.Reply == "":
		cell.Outcome, cell.Why = probe.Failed, "no answer to EHLO over TLS: "+seen[0].DescribeEnd()
	}
	return cell
}

func returnOf(second testpeer.Delivery, seen *handshake.Transcript) Resumption {
	switch {
	case second.Reply == "":
		return ResumptionFailed
	case second.Resumed:
		return Resumed
	case seen != nil && seen.ClientHello != nil && (seen.ClientHello.PSK || seen.ClientHello.TicketTLS12):
		return Full
	}
	return NoSession
}

func visitOpenSSL(s *testpeer.Scope, r *relay) (first, second testpeer.Delivery) {
	o := testpeer.OpenSSLOptions{HelloOnly: true, KeyLog: r.keyLog, SessionFile: filepath.Join(s.TempDir(), "session")}
	first = testpeer.SendOpenSSL(s, r.addr, o)
	if first.Reply == "" {
		return first, second
	}
	return first, testpeer.SendOpenSSL(s, r.addr, o)
}

// visitGnuTLS visits twice in one run, which tells of the second only. The tool calls
// itself in EHLO what it was told to go to: of an address mox v0.0.17 thinks nothing.
func visitGnuTLS(s *testpeer.Scope, r *relay) (first, second testpeer.Delivery) {
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		s.Fatalf("%v", err)
	}
	second = testpeer.SendGnuTLS(s, net.JoinHostPort("localhost", port), testpeer.GnuTLSOptions{HelloOnly: true, KeyLog: r.keyLog})
	return testpeer.Delivery{Reply: second.Reply}, second
}

func visitSwaks(s *testpeer.Scope, r *relay) (first, second testpeer.Delivery) {
	return testpeer.SendSwaks(s, r.addr, testpeer.SwaksOptions{HelloOnly: true}), second
}
