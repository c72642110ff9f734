package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/internal/persona"
	"postern/internal/testcert"
)

// A Postern sends no ticket to a network that has refused them, as probes do that it does not
// recognise: nothing is wrong there.
func TestPosternWithoutTicketsMayHaveLearnedIt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		software   string
		recognised bool
		want       bool
	}{
		{"Postern", false, true},
		{"Postern", true, false},
		{"mox", false, false},
		{"", false, false},
	} {
		e := &addressProbe{
			software: Software{Name: tt.software}, resumed: new(persona.Result),
			first: &persona.Result{Completed: true, Recognised: tt.recognised},
		}
		f := checkResumption(e)[0]
		if f.ID != "no-resumption" || strings.Contains(f.Title, "earlier probes") != tt.want {
			t.Errorf("%+v: %s: %s", tt, f.ID, f.Title)
		}
		if tt.want && !strings.Contains(f.Advice[0].Action, "--probe-key") {
			t.Errorf("%+v: %s", tt, f.Advice[0].Action)
		}
	}
}

// fleet serves a domain by several MX hosts, each with its own address and TLS
// configuration, and returns the report of a probe.
func fleet(t *testing.T, change ...func(*tls.Config)) *Report {
	t.Helper()
	pair := testcert.New(t, testcert.Options{Names: []string{"*.fleet.test"}})
	var records []string
	var port uint16
	for i, change := range change {
		config := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
		change(config)
		number := strconv.Itoa(i + 1)
		listener, err := net.Listen("tcp", "127.0.0."+number+":"+strconv.Itoa(int(port)))
		if err != nil {
			t.Fatal(err)
		}
		port = uint16(listener.Addr().(*net.TCPAddr).Port)
		server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return quiet{}, nil }))
		server.Domain, server.TLSConfig = "mx.fleet.test", config
		go server.Serve(listener)
		t.Cleanup(func() { server.Close() })
		records = append(records, "fleet.test. MX "+number+" mx"+number+".fleet.test.", "mx"+number+".fleet.test. A 127.0.0."+number)
	}
	one, _ := persona.Find(healthyID)
	prober := &Prober{Resolver: zone(t, false, records...), Port: port, RootCAs: pair.Pool, Personas: []*persona.Persona{one}}
	r, err := prober.Probe(context.Background(), "fleet.test")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ownKeys(*tls.Config) {}

func sharedKeys(c *tls.Config) { c.SetSessionTicketKeys([][32]byte{{1, 2, 3}}) }

// refusesForeignSessions ends a handshake with a session that the server cannot decrypt.
// RFC 8446, Section 4.2.11 requires a full handshake.
func refusesForeignSessions(c *tls.Config) {
	open := &tls.Config{}
	open.SetSessionTicketKeys([][32]byte{{9}})
	c.WrapSession = open.EncryptTicket
	c.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := open.DecryptTicket(ticket, state)
		if session == nil && err == nil {
			err = errors.New("unknown session")
		}
		return session, err
	}
}

func TestSessionsAcrossHosts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hosts    []func(*tls.Config)
		id       string
		severity Severity
		evidence string
	}{
		"keys shared":            {[]func(*tls.Config){sharedKeys, sharedKeys, sharedKeys}, "resumption-elsewhere", OK, ""},
		"own keys":               {[]func(*tls.Config){ownKeys, ownKeys}, "resumption-elsewhere", Notice, `session of "mx1.fleet.test" (127.0.0.1:`},
		"the third has its own":  {[]func(*tls.Config){sharedKeys, sharedKeys, ownKeys}, "resumption-elsewhere", Notice, `at "mx3.fleet.test" (127.0.0.3:`},
		"the second fails":       {[]func(*tls.Config){sharedKeys, refusesForeignSessions}, "every-other-connection", Critical, `at "mx2.fleet.test" (127.0.0.2:`},
		"the first fails":        {[]func(*tls.Config){refusesForeignSessions, sharedKeys}, "every-other-connection", Critical, `at "mx1.fleet.test" (127.0.0.1:`},
		"one that never resumes": {[]func(*tls.Config){sharedKeys, func(c *tls.Config) { c.SessionTicketsDisabled = true }, sharedKeys}, "resumption-elsewhere", OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := fleet(t, tt.hosts...)
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == tt.id })
			if i < 0 || r.Findings[i].Severity != tt.severity || !strings.Contains(strings.Join(r.Findings[i].Evidence, "\n"), tt.evidence) {
				t.Errorf("want %s, %v, %q in %+v", tt.id, tt.severity, tt.evidence, r.Findings)
			}
		})
	}
}
