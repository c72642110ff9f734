package setup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A setting can name a file with a domain in each line.
func TestDomainsAreReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "domains")
	if err := os.WriteFile(path, []byte("# ours\nexample.org\n\n  example.net  x\n#example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(firstWords(path), " "); got != "example.org example.net" {
		t.Errorf("%s", got)
	}
	if got := firstWords(path + ".missing"); got != nil {
		t.Errorf("a missing file: %v", got)
	}
}

func TestServicesOnPort25AreThoseOfOtherMachines(t *testing.T) {
	p := &postfix{services: postfixServices(strings.Join([]string{
		"smtp inet n - y - - smtpd", "192.0.2.25:25 inet n - y - - smtpd", "[2001:db8::25]:smtp inet n - y - - smtpd",
		"127.0.0.1:25 inet n - y - - smtpd", "localhost:smtp inet n - y - - smtpd", "[::1]:25 inet n - y - - smtpd",
		"587 inet n - y - - smtpd", "smtp unix - - y - - smtp", "broken",
	}, "\n"))}
	var names []string
	for _, s := range p.onPort25() {
		names = append(names, s.name)
	}
	if got := strings.Join(names, " "); got != "smtp 192.0.2.25:25 [2001:db8::25]:smtp" {
		t.Errorf("%s", got)
	}
	for limit, want := range map[int]string{0: "", 50: "&connections=40", 99: "&connections=79", 100: "", 250: ""} {
		if got := connectionsBelow(limit); got != want {
			t.Errorf("%d processes: %q, want %q", limit, got, want)
		}
	}
}
