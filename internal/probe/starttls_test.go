package probe_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"postern/internal/probe"
	"postern/internal/testcert"
)

// Faults in the dialogue before TLS, and the evidence for them.
func TestFindingsBeforeTLS(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do       func(net.Conn)
		id       string
		severity probe.Severity
		evidence string
	}{
		"greeting masked": {says("220 **************2******0*0*", "250-mx.test\r\n250 SIZE"), "inspected-by-firewall", probe.Warning, `reply "****`},
		"keyword masked":  {says("220 mx.test ESMTP", "250-mx.test\r\n250-XXXXXXXA\r\n250 SIZE"), "inspected-by-firewall", probe.Warning, `reply "XXXXXXXA"`},
		"no STARTTLS":     {says("220 mx.test ESMTP", "250-mx.test\r\n250 SIZE"), "no-starttls", probe.Warning, "250 SIZE"},
		"refuses":         {says("554 5.7.1 not you", ""), "no-greeting", probe.Unclear, "554 5.7.1 not you"},
		"no EHLO":         {says("220 mx.test ESMTP", "502 5.5.1 what"), "no-hello", probe.Unclear, "502 5.5.1 what"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, r := examine(t, new(probe.Prober), listen(t, tt.do))
			f := finding(t, r.AllFindings(), tt.id)
			if f.Severity != tt.severity || !strings.Contains(strings.Join(f.Evidence, "\n"), tt.evidence) || len(f.Advice) == 0 {
				t.Errorf("%+v, want %v and %q", f, tt.severity, tt.evidence)
			}
		})
	}
}

// says is a server that sends a greeting and a reply to EHLO, and closes.
func says(greeting, hello string) func(net.Conn) {
	return func(c net.Conn) {
		greet(c, greeting)
		greet(c, hello)
	}
}

// A server that executes a plaintext command behind STARTTLS over TLS
// (CVE-2011-0411).
func TestCommandInjectionIsFound(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{})
	config := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	_, r := examine(t, &probe.Prober{RootCAs: pair.Pool}, listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for _, reply := range []string{"220 mx.test", "250-mx.test\r\n250 STARTTLS"} {
			fmt.Fprintf(c, "%s\r\n", reply)
			in.ReadString('\n')
		}
		injected := in.Buffered() > 0
		fmt.Fprint(c, "220 go\r\n")
		server := tls.Server(c, config)
		if server.Handshake() != nil {
			return
		}
		if injected {
			fmt.Fprint(server, "250 done\r\n")
		}
		for lines := bufio.NewScanner(server); lines.Scan(); {
			if lines.Text() == "QUIT" {
				fmt.Fprint(server, "221 bye\r\n")
				return
			}
			fmt.Fprint(server, "250 mx.test\r\n")
		}
	}))
	if f := finding(t, r.AllFindings(), "injection"); f.Severity != probe.Critical || f.Case == nil || len(f.Advice) == 0 {
		t.Errorf("%+v", f)
	}
}

// A sender that is refused before TLS does not fail because of TLS.
func TestSendersRefusedBeforeTLSAreInconclusive(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{})
	config := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	a, r := examine(t, &probe.Prober{RootCAs: pair.Pool}, serve(t, config, func(l net.Listener) net.Listener { return &crowded{Listener: l} }))
	f := finding(t, r.AllFindings(), "inconclusive")
	inconclusive := 0
	for _, v := range a.Runs {
		if v.Outcome == probe.Inconclusive {
			inconclusive++
		}
	}
	if want := fmt.Sprintf("%d of ", inconclusive); inconclusive == 0 || f.Severity != probe.Unclear || !strings.HasPrefix(f.Title, want) || !strings.Contains(f.Evidence[0], "421 4.7.0 come again") {
		t.Errorf("%d are inconclusive: %+v", inconclusive, f)
	}
}

// crowded refuses the tenth to the fifteenth connection.
type crowded struct {
	net.Listener
	came atomic.Int32
}

func (c *crowded) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if n := c.came.Add(1); err != nil || n < 10 || n > 15 {
			return conn, err
		}
		fmt.Fprint(conn, "421 4.7.0 come again\r\n")
		conn.Close()
	}
}
