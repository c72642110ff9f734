package clientsim

import (
	"crypto/tls"
	"io"
	"os"
	"testing"

	"postern/handshake"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

// throughRelay calls play with a relay to a go-smtp server, and returns what it recorded.
func throughRelay(t *testing.T, play func(r *relay, cert *testcert.Pair) error) (recorded []*handshake.Transcript) {
	t.Helper()
	err := testpeer.Run(t.Context(), io.Discard, nil, func(s *testpeer.Scope) error {
		cert := testcert.New(s, testcert.Options{})
		r := newRelay(s, goServers()[0].start(s, cert))
		err := play(r, cert)
		recorded = r.transcripts(true)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return recorded
}

func TestRelayDecryptsWithTheClientsKeys(t *testing.T) {
	for name, withKeys := range map[string]bool{"keys": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			recorded := throughRelay(t, func(r *relay, cert *testcert.Pair) error {
				config := &tls.Config{ServerName: "localhost", RootCAs: cert.Pool, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				if withKeys {
					file, err := os.Create(r.keyLog)
					if err != nil {
						return err
					}
					defer file.Close()
					config.KeyLogWriter = file
				}
				c, err := testsmtp.DialTLS(r.addr, "", config)
				if err != nil {
					return err
				}
				defer c.Close()
				return c.Commands("QUIT")
			})
			if len(recorded) != 1 || recorded[0] == nil || !recorded[0].Completed || ticketOrder([]Cell{{First: recorded[0]}}) != Before {
				t.Fatalf("%d handshakes, the first:\n%s", len(recorded), recorded[0].Diagram(handshake.DiagramOptions{}))
			}
			for _, m := range recorded[0].Messages {
				if m.Type == handshake.TypeNewSessionTicket && m.Inferred == withKeys {
					t.Errorf("inferred: %v, keys: %v", m.Inferred, withKeys)
				}
			}
		})
	}
}

func TestRelayRecordsNothingWithoutTLS(t *testing.T) {
	recorded := throughRelay(t, func(r *relay, _ *testcert.Pair) error {
		c, err := testsmtp.Dial(r.addr, "")
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Commands("EHLO sender.test", "QUIT")
	})
	if len(recorded) != 1 || recorded[0] != nil {
		t.Errorf("%v, want one without TLS", recorded)
	}
}
