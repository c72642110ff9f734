package setup

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/listening"
)

func TestListsOfEximHaveTheirSeparators(t *testing.T) {
	for list, want := range map[string]string{
		"@:localhost:example.org": "@|localhost|example.org",
		"<; ::0 ; 0.0.0.0":        "::0|0.0.0.0",
		"127.0.0.1 : ::::1":       "127.0.0.1|::1",
		"<, a:b,, c":              "a:b, c", // two commas are one of the item
		"":                        "",
		" : ":                     "",
	} {
		if got := strings.Join(eximList(list), "|"); got != want {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}

func TestEximListensWhereItsSettingsSay(t *testing.T) {
	for _, tt := range []struct{ interfaces, ports, want string }{
		{"<; ::0 ; 0.0.0.0", "25", "[[::]:25 0.0.0.0:25]"},
		{"<; 192.0.2.25 ; [192.0.2.25]:587 ; [::0]:465", "smtp : 26", "[192.0.2.25:25 192.0.2.25:26 192.0.2.25:587 [::]:465]"},
		{"127.0.0.1.10025 : 127.0.0.1", "25", "[127.0.0.1:10025 127.0.0.1:25]"},
		{"nonsense", "25", "[]"},
	} {
		if got := fmt.Sprint(eximAddresses(tt.interfaces, tt.ports)); got != tt.want {
			t.Errorf("%q with %q: %s, want %s", tt.interfaces, tt.ports, got, tt.want)
		}
	}
	e := &exim{addresses: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:25")}}
	sockets := []listening.Socket{socket("0.0.0.0:25", "/usr/sbin/exim4"), socket("0.0.0.0:80", "/usr/sbin/nginx"), socket("0.0.0.0:587", "/usr/sbin/exim4")}
	if got := e.unlisted(sockets); got != "0.0.0.0:587" {
		t.Errorf("unlisted: %q", got)
	}
}

func TestDomainsOfEximAreRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "domains")
	if err := os.WriteFile(file, []byte("# ours\nexample.net\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{hostname: "mx.example.org"}
	s.addEximDomains("local_domains", "@:localhost:example.org:lsearch;"+file+":dsearch;/etc/exim4/virtual:*.example.com")
	if got := strings.Join(domainNames(s.domains), " "); got != "mx.example.org example.org example.net" {
		t.Errorf("%s", got)
	}
	if notes := strings.Join(s.notes, " "); !strings.Contains(notes, "dsearch;/etc/exim4/virtual (local_domains)") || !strings.Contains(notes, "*.example.com") {
		t.Errorf("notes: %q", s.notes)
	}
}
