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

// A client is a row and how it connects, once or twice.
type client struct {
	Client
	connect func(context.Context, persona.Target) Cell
}

// personaClient returns the client that a persona is.
func personaClient(p *persona.Persona) *client {
	return &client{Client{Name: p.ID, Does: p.Does}, func(ctx context.Context, t persona.Target) Cell {
		if p.Case == "early-ticket" {
			t.Dial = probe.DialSlowly
		}
		first := probe.Classify(p, p.Run(ctx, t))
		cell := Cell{Outcome: first.Outcome, Plaintext: first.Plaintext, Why: first.Reason(), First: first.Transcript}
		if first.Completed && first.Resumable() {
			second := p.Resume(ctx, t, first.Result)
			cell.Second = second.Transcript
			switch {
			case !second.Completed:
				cell.Resumption = ResumptionFailed
			case second.TLS.DidResume:
				cell.Resumption = Resumed
			default:
				cell.Resumption = Full
			}
		}
		return cell
	}}
}

// A tool is a real client.
type tool struct {
	program string
	version string // the argument that prints its version
	does    string
	connect func(s *testpeer.Scope, r *relay) (first, second testpeer.Delivery)
}

var tools = []tool{
	{"openssl", "version", "openssl s_client -starttls smtp; saves its session with -sess_out and offers it with -sess_in", connectOpenSSL},
	{"gnutls-cli", "--version", "gnutls-cli --starttls-proto=smtp; sends EHLO, and resumes with ^resume^", connectGnuTLS},
	{"swaks", "--version", "swaks --tls, on Perl's Net::SSLeay; cannot resume", connectSwaks},
}

// clients returns the real clients that are found, and those that are missing.
func (p programs) clients(ctx context.Context) (found []*client, missing []Missing) {
	for _, t := range tools {
		path, err := p.find(t.program)
		if err != nil {
			missing = append(missing, Missing{Name: t.program, Why: "not found"})
			continue
		}
		found = append(found, &client{
			Client{Name: t.program, Version: version(ctx, path, t.version), Real: true, Does: t.does},
			func(ctx context.Context, target persona.Target) Cell { return t.run(ctx, p, target.Addr) },
		})
	}
	return found, missing
}

// run connects the tool to the server at addr through a relay.
func (t tool) run(ctx context.Context, p programs, addr string) Cell {
	var cell Cell
	err := testpeer.Run(ctx, io.Discard, p.find, func(s *testpeer.Scope) error {
		r := newRelay(s, addr)
		first, second := t.connect(s, r)
		cell = toolCell(first, second, r.transcripts(first.Reply != "", second.Reply != ""))
		return nil
	})
	if err != nil {
		return Cell{Outcome: probe.Inconclusive, Why: reason(err)}
	}
	return cell
}

// toolCell returns the cell of a tool's connections. A tool connects a second time only if
// its first handshake completed.
func toolCell(first, second testpeer.Delivery, recorded []*handshake.Transcript) Cell {
	if len(recorded) == 0 || recorded[0] == nil {
		return Cell{Outcome: probe.Inconclusive, Why: "TLS did not start"}
	}
	cell := Cell{Outcome: probe.Completed, First: recorded[0]}
	switch {
	case len(recorded) > 1:
		cell.Second = recorded[1]
		cell.Resumption = toolResumption(second, recorded[1])
	case first.Reply == "":
		cell.Outcome, cell.Why = probe.Failed, "no answer to EHLO over TLS: "+recorded[0].DescribeEnd()
	}
	return cell
}

func toolResumption(second testpeer.Delivery, recorded *handshake.Transcript) Resumption {
	switch {
	case second.Reply == "":
		return ResumptionFailed
	case second.Resumed:
		return Resumed
	case recorded != nil && recorded.ClientHello != nil && (recorded.ClientHello.PSK || recorded.ClientHello.TicketTLS12):
		return Full
	}
	return NoSession
}

func connectOpenSSL(s *testpeer.Scope, r *relay) (first, second testpeer.Delivery) {
	o := testpeer.OpenSSLOptions{HelloOnly: true, KeyLog: r.keyLog, SessionFile: filepath.Join(s.TempDir(), "session")}
	first = testpeer.SendOpenSSL(s, r.addr, o)
	if first.Reply == "" {
		return first, second
	}
	return first, testpeer.SendOpenSSL(s, r.addr, o)
}

// connectGnuTLS connects twice in one run of gnutls-cli, which prints the second reply only.
// In EHLO the tool sends the name that it connects to, so that must not be an address: mox
// v0.0.17 refuses one.
func connectGnuTLS(s *testpeer.Scope, r *relay) (first, second testpeer.Delivery) {
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		s.Fatalf("%v", err)
	}
	second = testpeer.SendGnuTLS(s, net.JoinHostPort("localhost", port), testpeer.GnuTLSOptions{HelloOnly: true, KeyLog: r.keyLog})
	return testpeer.Delivery{Reply: second.Reply}, second
}

func connectSwaks(s *testpeer.Scope, r *relay) (first, second testpeer.Delivery) {
	return testpeer.SendSwaks(s, r.addr, testpeer.SwaksOptions{HelloOnly: true}), second
}
