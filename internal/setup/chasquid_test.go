package setup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A chasquid that opens its ports itself, as outside of Debian, gives up port 25 in its
// configuration, and keeps what else is there.
func TestChasquidLeavesPort25InItsConfiguration(t *testing.T) {
	const configuration = "hostname: \"mx.example.org\"\n  smtp_address: \":25\"\nsmtp_address: \"192.0.2.25:26\"\nsubmission_address: \":587\"\n"
	settings := chasquidSettings(configuration)
	c := &chasquid{path: "/usr/bin/chasquid", addresses: settings["smtp_address"]}
	if got := strings.Join(c.addresses, " "); got != ":25 192.0.2.25:26" {
		t.Fatalf("addresses %q", got)
	}
	file := filepath.Join(t.TempDir(), "chasquid.conf")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	h := c.handover(new(Machine))
	for _, want := range []string{`smtp_address: "127.0.0.1:10025"`, "haproxy_incoming: true"} {
		if open := strings.Join(h.open, "\n"); !strings.Contains(open, want) {
			t.Errorf("no %s in\n%s", want, open)
		}
	}
	checkHandover(t, h, "/etc/chasquid/chasquid.conf", file,
		"hostname: \"mx.example.org\"\n#  smtp_address: \":25\"\n#smtp_address: \"192.0.2.25:26\"\nsubmission_address: \":587\"\n"+
			"# Port 25 of other addresses is that of Postern.\nsmtp_address: \"127.0.0.1:25\"\n")
}
