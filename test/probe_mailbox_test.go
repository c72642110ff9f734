package test

import (
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// A server of mailboxes is probed as one of mail is, but for what only mail has.
func TestProbeOfMailboxes(t *testing.T) {
	cert := testcert.New(t, testcert.Options{RSA: true})
	d := testpeer.StartDovecot(t, testpeer.DovecotOptions{Cert: cert})
	for _, tt := range []struct {
		addr, severity string
		flags          string
	}{
		{d.IMAP, "fine", "--starttls imap"},
		{d.IMAPS, "fine", "--starttls imap --implicit"},
		{d.POP3, "fine", "--starttls pop3"},
		{d.POP3S, "fine", "--starttls pop3 --implicit"},
	} {
		found := probeServer(t, tt.addr, cert, strings.Fields(tt.flags)...)
		for _, id := range []string{"healthy", "tls13", "certificate"} {
			if got := found.severity(id); got != "fine" {
				t.Errorf("%s: %s is %q: %+v", tt.flags, id, got, found.Findings)
			}
		}
		clear := map[bool]string{true: "", false: "fine"}[strings.Contains(tt.flags, "implicit")]
		for _, id := range []string{"injection", "clear-after-failure"} {
			if got := found.severity(id); got != clear {
				t.Errorf("%s: %s is %q, want %q", tt.flags, id, got, clear)
			}
		}
	}
}
