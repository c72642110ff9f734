package clientsim

import (
	"crypto/tls"
	"io"
	"net/smtp"
	"os"
	"testing"

	"postern/handshake"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// throughRelay calls play with a relay to a go-smtp server, and returns what it recorded.
func throughRelay(t *testing.T, play func(r *relay, cert *testcert.Pair)) (seen []*handshake.Transcript) {
	t.Helper()
	err := testpeer.Run(t.Context(), io.Discard, nil, func(s *testpeer.Scope) error {
		cert := testcert.New(s, testcert.Options{})
		r := newRelay(s, goServers()[0].start(s, cert))
		play(r, cert)
		seen = r.transcripts(true)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func greet(t *testing.T, r *relay) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(r.addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Hello("sender.test"); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRelayDecryptsWithTheClientsKeys(t *testing.T) {
	for name, withKeys := range map[string]bool{"keys": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			seen := throughRelay(t, func(r *relay, cert *testcert.Pair) {
				config := &tls.Config{ServerName: "localhost", RootCAs: cert.Pool, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				if withKeys {
					file, err := os.Create(r.keyLog)
					if err != nil {
						t.Fatal(err)
					}
					defer file.Close()
					config.KeyLogWriter = file
				}
				c := greet(t, r)
				if err := c.StartTLS(config); err != nil {
					t.Fatal(err)
				}
				if err := c.Quit(); err != nil {
					t.Fatal(err)
				}
			})
			if len(seen) != 1 || seen[0] == nil || !seen[0].Completed || ticketOrder([]Cell{{First: seen[0]}}) != Before {
				t.Fatalf("%d handshakes, the first:\n%s", len(seen), seen[0].Diagram(handshake.DiagramOptions{}))
			}
			for _, m := range seen[0].Messages {
				if m.Type == handshake.TypeNewSessionTicket && m.Inferred == withKeys {
					t.Errorf("inferred: %v, keys: %v", m.Inferred, withKeys)
				}
			}
		})
	}
}

func TestRelayRecordsNothingWithoutTLS(t *testing.T) {
	seen := throughRelay(t, func(r *relay, _ *testcert.Pair) {
		if err := greet(t, r).Quit(); err != nil {
			t.Error(err)
		}
	})
	if len(seen) != 1 || seen[0] != nil {
		t.Errorf("%v, want one without TLS", seen)
	}
}
