package probe_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/testcert"
	"postern/sessionticket"
)

// serve starts a go-smtp server with a TLS configuration, nil for none.
func serve(t *testing.T, config *tls.Config, wrap func(net.Listener) net.Listener) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return session{}, nil }))
	server.Domain, server.TLSConfig = "mx.test", config
	if wrap != nil {
		listener = wrap(listener)
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

// session accepts no mail.
type session struct{ smtp.Session }

func (session) Reset()        {}
func (session) Logout() error { return nil }

func examine(t *testing.T, p *probe.Prober, addr string) (*probe.Address, *probe.Report) {
	t.Helper()
	r, err := p.Probe(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	return r.Hosts[0].Addresses[0], r
}

func finding(t *testing.T, all []probe.Finding, id string) probe.Finding {
	t.Helper()
	i := slices.IndexFunc(all, func(f probe.Finding) bool { return f.ID == id })
	if i < 0 {
		t.Fatalf("no finding %s in %+v", id, all)
	}
	return all[i]
}

func TestEarlyTicketIsFoundAndTheGateFixesIt(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{})
	p := &probe.Prober{RootCAs: pair.Pool}
	_, r := examine(t, p, serve(t, &tls.Config{Certificates: []tls.Certificate{pair.TLS}}, nil))
	f := finding(t, r.AllFindings(), "early-ticket")
	if f.Severity != probe.Critical || f.Case == nil || f.Transcript == nil || len(f.Advice) != 1 || f.Advice[0].Software != "Go programs" {
		t.Errorf("%+v", f)
	}

	gate := &sessionticket.Gate{}
	old := testcert.New(t, testcert.Options{RSA: true}) // else a warning is right: rsa-only-client
	config := &tls.Config{Certificates: []tls.Certificate{pair.TLS, old.TLS}}
	_, r = examine(t, p, serve(t, gate.Config(config), gate.Listener))
	if s := worstOfTLS(r); s > probe.Notice {
		t.Errorf("behind the gate: %v in %+v", s, r.AllFindings())
	}
	for _, id := range []string{"healthy", "ticket-order", "resumption", "certificate", "tls13", "post-quantum", "injection"} {
		if f := finding(t, r.AllFindings(), id); f.Severity != probe.OK {
			t.Errorf("%s: %+v, want ok", id, f)
		}
	}
}

// worstOfTLS returns the highest severity, except of what go-smtp does after a failed
// handshake.
func worstOfTLS(r *probe.Report) (s probe.Severity) {
	for _, f := range r.AllFindings() {
		if f.ID != "plaintext-after-failure" {
			s = max(s, f.Severity)
		}
	}
	return s
}

// Each server has one fault, which a finding names.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	expired := testcert.Options{NotAfter: time.Now().Add(-time.Hour)}
	for name, tt := range map[string]struct {
		certificate testcert.Options
		change      func(*tls.Config)
		id          string
		severity    probe.Severity
	}{
		"expired":              {certificate: expired, id: "expired", severity: probe.Warning},
		"expired, its session": {certificate: expired, id: "resumption-not-tried", severity: probe.Notice},
		"other name":           {certificate: testcert.Options{Names: []string{"elsewhere.test"}}, id: "wrong-name", severity: probe.Warning},
		"ends soon":            {certificate: testcert.Options{NotAfter: time.Now().Add(5 * time.Minute)}, id: "certificate", severity: probe.Warning},
		"no tickets":           {change: func(c *tls.Config) { c.SessionTicketsDisabled = true }, id: "no-resumption", severity: probe.Notice},
		"TLS 1.2":              {change: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, id: "tls13", severity: probe.Notice},
		"TLS 1.3":              {change: func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, id: "tls12-only", severity: probe.Critical},
		"old groups":           {change: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, id: "post-quantum", severity: probe.Notice},
		"asks":                 {change: func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }, id: "client-certificate", severity: probe.Notice},
		"refuses":              {change: refuseSessions, id: "every-other-connection", severity: probe.Critical},
		"forgets":              {change: forgetSessions, id: "not-resumed", severity: probe.Notice},
		"broken":               {change: func(c *tls.Config) { c.MinVersion = 0x0305 }, id: "healthy", severity: probe.Critical},
		"no STARTTLS":          {change: func(c *tls.Config) { *c = tls.Config{} }, id: "no-starttls", severity: probe.Warning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := testcert.New(t, tt.certificate)
			config := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
			if tt.change != nil {
				tt.change(config)
			}
			if config.Certificates == nil {
				config = nil
			}
			_, r := examine(t, &probe.Prober{RootCAs: pair.Pool}, serve(t, config, nil))
			if f := finding(t, r.AllFindings(), tt.id); f.Severity != tt.severity || len(f.Advice) == 0 {
				t.Errorf("%+v, want %v and advice", f, tt.severity)
			}
		})
	}
}

func refuseSessions(c *tls.Config) {
	c.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) {
		return nil, errors.New("the keys are lost")
	}
}

func forgetSessions(c *tls.Config) {
	c.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) { return nil, nil }
}

// A server that goes down during the probe does not make particular senders fail.
func TestServerThatGoesDownIsInconclusive(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{})
	config := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	a, r := examine(t, &probe.Prober{RootCAs: pair.Pool}, serve(t, config, func(l net.Listener) net.Listener {
		return &mortal{Listener: l, left: 2}
	}))
	if f := finding(t, r.AllFindings(), "stopped"); f.Severity != probe.Unclear {
		t.Errorf("%+v", f)
	}
	if s := worstOfTLS(r); s != probe.Unclear {
		t.Errorf("%v, want nothing worse than unclear: %+v", s, r.AllFindings())
	}
	for _, v := range a.Runs {
		if v.Outcome == probe.Failed {
			t.Errorf("%s is reported as failed", v.Persona.ID)
		}
	}
}

// mortal closes all connections but the first few.
type mortal struct {
	net.Listener
	left int32
}

func (m *mortal) Accept() (net.Conn, error) {
	conn, err := m.Listener.Accept()
	if err == nil && atomic.AddInt32(&m.left, -1) < 0 {
		conn.Close()
	}
	return conn, err
}

func TestUnreachableServerIsUnclear(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	a, r := examine(t, new(probe.Prober), addr)
	if f := finding(t, r.AllFindings(), "unreachable"); f.Severity != probe.Unclear || r.Severity() != probe.Unclear || a.Runs != nil {
		t.Errorf("%+v", r)
	}
}

// One run delivers the message, and none if there is no message.
func TestOneRunDeliversTheMessage(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{})
	var accepted atomic.Int32
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return box{accepted: &accepted}, nil }))
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })

	p := &probe.Prober{RootCAs: pair.Pool}
	examine(t, p, listener.Addr().String())
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d messages were sent without Deliver", n)
	}
	p.Deliver = &persona.TestMessage{From: "a@sender.test", To: "user@mx.test"}
	_, r := examine(t, p, listener.Addr().String())
	if f := finding(t, r.AllFindings(), "delivered"); f.Severity != probe.OK || accepted.Load() != 1 {
		t.Errorf("%d messages were accepted: %+v", accepted.Load(), f)
	}
	p.Deliver = &persona.TestMessage{To: "nobody@mx.test"}
	_, r = examine(t, p, listener.Addr().String())
	if f := finding(t, r.AllFindings(), "not-delivered"); f.Severity != probe.Warning || !strings.Contains(f.Evidence[0], `"550 `) || accepted.Load() != 1 {
		t.Errorf("%d messages were accepted: %+v", accepted.Load(), f)
	}
}

// box counts the messages that it accepts, for all recipients but nobody.
type box struct {
	session
	accepted *atomic.Int32
}

func (box) Mail(string, *smtp.MailOptions) error { return nil }

func (box) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, Message: "no such user"}
	}
	return nil
}

func (b box) Data(r io.Reader) error {
	b.accepted.Add(1)
	_, err := io.Copy(io.Discard, r)
	return err
}

// One connection for each persona, in their order, and findings about them alone.
func TestPersonasAlone(t *testing.T) {
	t.Parallel()
	early, _ := persona.Find("early-ticket")
	old, _ := persona.Find("tls10-only")
	pair := testcert.New(t, testcert.Options{Names: []string{"elsewhere.test"}})
	gate := new(sessionticket.Gate)
	stock := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	for name, tt := range map[string]struct {
		config *tls.Config
		wrap   func(net.Listener) net.Listener
		want   map[string]probe.Severity
	}{
		"fails":       {stock, nil, map[string]probe.Severity{"early-ticket": probe.Critical, "tls10-only": probe.Notice}},
		"completes":   {gate.Config(stock), gate.Listener, map[string]probe.Severity{"completed": probe.OK, "tls10-only": probe.Notice}},
		"without TLS": {nil, nil, map[string]probe.Severity{"no-starttls": probe.Warning}},
	} {
		var count atomic.Int32
		addr := serve(t, tt.config, func(l net.Listener) net.Listener {
			if tt.wrap != nil {
				l = tt.wrap(l)
			}
			return &counting{l, &count}
		})
		a, r := examine(t, &probe.Prober{Personas: []*persona.Persona{early, old}, Alone: true}, addr)
		got := make(map[string]probe.Severity)
		for _, f := range r.AllFindings() {
			got[f.ID] = f.Severity
		}
		if !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
		if count.Load() != 2 || len(a.Runs) != 2 || a.Runs[0].Persona != early {
			t.Errorf("%s: %d connections for %d runs", name, count.Load(), len(a.Runs))
		}
	}
}

// counting counts connections.
type counting struct {
	net.Listener
	count *atomic.Int32
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.count.Add(1)
	}
	return conn, err
}

func TestServerThatIsDownIsUnclearForPersonasAlone(t *testing.T) {
	t.Parallel()
	early, _ := persona.Find("early-ticket")
	for name, tt := range map[string]struct {
		do func(net.Conn)
		id string
	}{
		"closes at once":   {func(net.Conn) {}, "no-greeting"},
		"refuses EHLO":     {func(c net.Conn) { greet(c, "220 mx.test"); greet(c, "554 no") }, "no-hello"},
		"refuses STARTTLS": {func(c net.Conn) { greet(c, "220 mx.test"); greet(c, "250-mx.test\r\n250 STARTTLS"); greet(c, "454 no") }, "inconclusive"},
	} {
		_, r := examine(t, &probe.Prober{Personas: []*persona.Persona{early}, Alone: true}, listen(t, tt.do))
		if all := r.AllFindings(); len(all) != 1 || all[0].ID != tt.id || all[0].Severity != probe.Unclear {
			t.Errorf("%s: %+v, want %s", name, all, tt.id)
		}
	}
}
