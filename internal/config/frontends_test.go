package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestItIsSaidWhoTheFrontEndsAre(t *testing.T) {
	const listen = "listen = [\"192.0.2.25:2525\"]\n"
	for _, tt := range []struct {
		config string
		want   string // "": valid
	}{
		{"[proxy-protocol]\ntrust = [\"192.0.2.1\", \"::ffff:192.0.2.2\", \"2001:db8::1/64\"]\n" + listen, ""},
		{"[proxy-protocol]\ntrust = [\"192.0.2.1\"]\nlisten-tls = [\"192.0.2.25:4650\"]\n", ""},
		{"listen = []\n[proxy-protocol]\ntrust = [\"192.0.2.1\"]\n" + listen, ""},
		{"[proxy-protocol]\n" + listen, "proxy-protocol.trust (by default): is empty"},
		{"[proxy-protocol]\ntrust = []\n" + listen, ":2: proxy-protocol.trust: is empty"},
		{"[proxy-protocol]\ntrust = [\"192.0.2.1\"]\n", "has no effect without an address to listen on"},
		{"[proxy-protocol]\ntrust = [\"0.0.0.0/0\"]\n" + listen, "0.0.0.0/0 is everybody"},
		{"[proxy-protocol]\ntrust = [\"::/0\"]\n" + listen, "::/0 is everybody"},
		{"[proxy-protocol]\ntrust = [\"balancer.example.org\"]\n" + listen, `"balancer.example.org" is neither an address nor a network`},
		{"listen = [\"192.0.2.25:2525\"]\n[proxy-protocol]\ntrust = [\"192.0.2.1\"]\n" + listen, `"192.0.2.25:2525" is listed twice`},
		{"[proxy-protocol]\ntrust = [\"192.0.2.1\"]\nlisten = [\"mx.example.org:25\"]\n", "has no IP address"},
		{"[xclient]\ntrust = [\"192.0.2.1\"]\n" + listen, ""},
		{"[xclient]\n" + listen, "xclient.trust (by default): is empty"},
		{"[xclient]\ntrust = [\"192.0.2.1\"]\n", "has no effect without an address to listen on"},
		{"[xclient]\ntrust = [\"::/0\"]\n" + listen, "::/0 is everybody"},
		{"[xclient]\ntrust = [\"192.0.2.1\"]\n" + listen + "[proxy-protocol]\ntrust = [\"192.0.2.1\"]\n" + listen, `"192.0.2.25:2525" is listed twice`},
	} {
		file := filepath.Join(t.TempDir(), "postern.toml")
		if err := os.WriteFile(file, []byte(tt.config), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file, Flags{}, nil)
		if tt.want == "" {
			if err != nil || !c.Reachable() {
				t.Errorf("%s\n%v, reachable %v", tt.config, err, err == nil && c.Reachable())
			}
			continue
		}
		problems, _ := err.(Problems)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), tt.want) || problems[0].Remedy == "" {
			t.Errorf("%s\n%v, want %s", tt.config, err, tt.want)
		}
	}
}

// An IPv4 address is the same however it is written, and a network has no host bits.
func TestTrustedNetworksAreInOneForm(t *testing.T) {
	file := filepath.Join(t.TempDir(), "postern.toml")
	const text = "[proxy-protocol]\ntrust = [\"::ffff:192.0.2.2\", \"192.0.2.77/24\"]\nlisten = [\":2526\"]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.2/32"), netip.MustParsePrefix("192.0.2.0/24")}
	if got := mustLoad(t, file, Flags{}).ProxyProtocol.Trust; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
