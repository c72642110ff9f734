package sessionticket

import (
	"crypto/tls"
	"testing"
	"time"

	"postern/internal/testcert"
)

// A server is stock, or behind the gate; both get the same base.
var servers = map[string]func(t *testing.T, base *tls.Config) *tls.Config{
	"stock": func(_ *testing.T, base *tls.Config) *tls.Config { return base },
	"gate": func(t *testing.T, base *tls.Config) *tls.Config {
		return (&Gate{OnBypass: func(reason error) { t.Error(reason) }}).Config(base)
	},
}

// resumes runs a handshake over a conn of the gate and reports whether it resumed.
func resumes(t *testing.T, server, client *tls.Config) bool {
	t.Helper()
	near, far := tcp(t)
	state, err := greet(tls.Server(new(Gate).Conn(far), server), tls.Client(near, client))
	if err != nil {
		t.Fatal(err)
	}
	return state.DidResume
}

// chosenConfigs are what a GetConfigForClient of base may return, and whether a
// ticket that a server of base gave resumes with it.
var chosenConfigs = []struct {
	name    string
	chosen  func(base *tls.Config) *tls.Config
	resumes bool
}{
	{"nil", func(*tls.Config) *tls.Config { return nil }, true},
	{"base itself", func(base *tls.Config) *tls.Config { return base }, true},
	{"no keys of its own", func(base *tls.Config) *tls.Config {
		return &tls.Config{Certificates: base.Certificates}
	}, true},
	{"clone of base", func(base *tls.Config) *tls.Config { return base.Clone() }, true},
	{"keys set", func(base *tls.Config) *tls.Config {
		chosen := &tls.Config{Certificates: base.Certificates}
		chosen.SetSessionTicketKeys([][32]byte{{1}})
		return chosen
	}, false},
	{"SessionTicketKey", func(base *tls.Config) *tls.Config {
		chosen := legacyKey()
		chosen.Certificates = base.Certificates
		return chosen
	}, false},
	{"tickets off", func(base *tls.Config) *tls.Config {
		return &tls.Config{Certificates: base.Certificates, SessionTicketsDisabled: true}
	}, false},
	{"used before by itself", usedBefore, true},
}

// usedBefore returns a config that has made keys automatically, as the config of
// another listener has. They are not used where base is the listener's.
func usedBefore(base *tls.Config) *tls.Config {
	chosen := &tls.Config{Certificates: base.Certificates}
	lookForKeys(chosen)
	return chosen
}

// legacyKey returns a config with a key in the old way.
func legacyKey() *tls.Config {
	//lint:ignore SA1019 servers still set it
	return &tls.Config{SessionTicketKey: [32]byte{2}}
}

// Whose keys a connection uses is the same with the gate as without: a ticket of one
// resumes at the other or not, whatever GetConfigForClient returns.
func TestKeysAreThoseThatStockWouldUse(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	for _, test := range chosenConfigs {
		for first, serveFirst := range servers {
			for second, serveSecond := range servers {
				t.Run(test.name+"/"+first+" then "+second, func(t *testing.T) {
					base, client := configs(pair)
					resumes(t, serveFirst(t, base), client)

					chosen := test.chosen(base)
					base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
					if got := resumes(t, serveSecond(t, base), client); got != test.resumes {
						t.Errorf("a ticket of base resumes: %v, want %v. %s", got, test.resumes, lookAtKeys)
					}
					again := resumes(t, serveFirst(t, base), client)
					if want := test.name != "tickets off"; again != want {
						t.Errorf("a ticket of the chosen config resumes: %v, want %v. %s", again, want, lookAtKeys)
					}
				})
			}
		}
	}
}

// lookAtKeys is what to do when these tests fail after a change of Go.
const lookAtKeys = `
The gate finds out whether ticket keys were set on a config by seeing whether
DecryptTicket asks for the time: keys that were set have no age. In crypto/tls, look
at ticketKeys and DecryptTicket in common.go and ticket.go, then at hasSetKeys.`

func TestHasSetKeys(t *testing.T) {
	set := new(tls.Config)
	set.SetSessionTicketKeys([][32]byte{{1}})
	used := new(tls.Config)
	lookForKeys(used)
	for name, test := range map[string]struct {
		config *tls.Config
		want   bool
	}{
		"empty":                   {new(tls.Config), false},
		"keys made automatically": {used, false},
		"clone of those":          {used.Clone(), false},
		"SetSessionTicketKeys":    {set, true},
		"clone with those":        {set.Clone(), true},
		"SessionTicketKey":        {legacyKey(), true},
	} {
		if got := hasSetKeys(test.config); got != test.want {
			t.Errorf("%s: %v, want %v. %s", name, got, test.want, lookAtKeys)
		}
	}
}

// Keys set on base while the server runs are used at once, old ones as long as they
// are listed.
func TestKeysSetLaterOnBaseAreUsed(t *testing.T) {
	for name, serve := range servers {
		t.Run(name, func(t *testing.T) {
			base, client := configs(testcert.New(t, testcert.Options{}))
			server := serve(t, base)
			resumes(t, server, client)
			base.SetSessionTicketKeys([][32]byte{{1}})
			if resumes(t, server, client) {
				t.Error("a ticket of the automatic keys resumed after keys were set")
			}
			base.SetSessionTicketKeys([][32]byte{{2}, {1}})
			if !resumes(t, server, client) {
				t.Error("a ticket of the second key did not resume")
			}
			base.SetSessionTicketKeys([][32]byte{{3}, {2}})
			if !resumes(t, server, client) {
				t.Error("the ticket given on resumption is not of the first key")
			}
		})
	}
}

// Base rotates its keys each day and drops them after seven, with the gate as without.
func TestAutomaticKeyRotation(t *testing.T) {
	for name, serve := range servers {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			base, client := configs(testcert.New(t, testcert.Options{NotAfter: now.AddDate(0, 1, 0)}))
			base.Time = func() time.Time { return now }
			client.Time = base.Time
			server := serve(t, base)

			for _, step := range []struct {
				hours   time.Duration
				resumes bool
			}{{0, false}, {1, true}, {25, true}, {6 * 24, true}, {8 * 24, false}, {1, true}} {
				now = now.Add(step.hours * time.Hour)
				if got := resumes(t, server, client); got != step.resumes {
					t.Errorf("after %d hours more: resumes %v, want %v", step.hours, got, step.resumes)
				}
			}
		})
	}
}
