package test

import (
	"crypto/tls"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/sessionticket/strictclient"
)

// Three servers have the fault of https://go.dev/issue/70232. For a packet capture of the
// failed handshake postern explain names the case and the remedy for that server. For a
// server without the fault it finds nothing wrong.
func TestExplainDiagnosesEarlyTicketInCapture(t *testing.T) {
	chasquid := func(t testpeer.T, _ string, cert *testcert.Pair) string {
		return testpeer.StartChasquid(t, cert)
	}
	for _, tt := range []struct {
		server, version string
		start           func(testpeer.T, string, *testcert.Pair) string
		status          int
		says            []string
	}{
		{"mox", "v0.0.12", testpeer.StartMox, 1, []string{"case         early-ticket", "mox          Upgrade to v0.0.13"}},
		{"maddy", "v0.7.1", testpeer.StartMaddy, 1, []string{"case         early-ticket", "maddy        Upgrade to v0.8"}},
		{"chasquid", "1.11", chasquid, 1, []string{"case         early-ticket", "chasquid     "}},
		{"mox", "v0.0.17", testpeer.StartMox, 0, []string{"handshake complete"}},
	} {
		t.Run(tt.server+" "+tt.version, func(t *testing.T) {
			cert := testcert.New(t, testcert.Options{})
			addr := tt.start(t, tt.version, cert)
			recording := testpeer.StartTCPDump(t, addr)
			if err := startTLSStrictly(addr); errors.Is(err, strictclient.ErrEarlyTicket) != (tt.status == 1) {
				t.Fatalf("the strict client got %v", err)
			}
			recording.Stop(t)
			out, status := runPostern(t, "explain", recording.File)
			if status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			for _, text := range tt.says {
				if !strings.Contains(out, text) {
					t.Errorf("no %q in the output:\n%s", text, out)
				}
			}
		})
	}
}

// startTLSStrictly does a handshake as a strict client, and QUIT.
func startTLSStrictly(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(patience))
	config := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	client, err := strictclient.StartTLS(conn, "strict.test", config)
	if err != nil {
		return err
	}
	return client.Quit()
}

// runPostern runs postern to its end and returns its output, with errors, and its exit
// status.
func runPostern(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(program, args...).CombinedOutput()
	if status = exitStatus(err); status < 0 {
		t.Fatal(err)
	}
	return string(text), status
}
