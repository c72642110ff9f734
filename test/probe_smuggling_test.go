package test

import (
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// Postfix 3.7 is open to smuggling unless it is told not to be.
func TestProbeTellsWhetherMailCanBeSmuggledIn(t *testing.T) {
	cert := testcert.New(t, testcert.Options{RSA: true})
	for _, tt := range []struct {
		name, addr, severity string
	}{
		{"Postfix, open", testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: cert, Config: []string{"smtpd_forbid_bare_newline = no"}}).Addr, "critical"},
		{"Postfix, strict", testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: cert, Config: []string{"smtpd_forbid_bare_newline = yes", "smtpd_forbid_bare_newline_exclusions ="}}).Addr, "fine"},
		{"Postern", start(t, "--cert", cert.CertFile, "--key", cert.KeyFile).addr, "fine"},
	} {
		found := probeServer(t, tt.addr, cert, "--as", "healthy-go", "--deliver", "a@example.org", "user@localhost", "--intrusive")
		if got := found.severity("message-smuggling"); got != tt.severity {
			t.Errorf("%s: %q, want %q: %+v", tt.name, got, tt.severity, found.Findings)
		}
	}
}

// severity is that of a finding; empty if there is none.
func (f *foundServer) severity(id string) string {
	for _, found := range f.Findings {
		if found.ID == id {
			return found.Severity
		}
	}
	return ""
}
