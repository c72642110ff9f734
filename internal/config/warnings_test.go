package config

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/testcert"
)

func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	certificate := func(name string, o testcert.Options, mode os.FileMode) string {
		pair := testcert.New(t, o)
		key := filepath.Join(dir, name+"-key.pem")
		if err := os.Rename(pair.KeyFile, key); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		return "[[certificate]]\ncert = '" + pair.CertFile + "'\nkey = '" + key + "'\n"
	}
	now := time.Now()
	mx := []string{"mx.example.org"}
	good := certificate("good", testcert.Options{Names: mx, NotAfter: now.AddDate(0, 2, 0)}, 0o600)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	token := func(mode os.FileMode) string {
		file := filepath.Join(dir, fmt.Sprintf("token-%04o", mode))
		if err := os.WriteFile(file, []byte("0123456789abcdef\n"), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const names = "hostname = 'mx.example.org'\ndomains = ['example.org']\n"
	const enforce = "[web]\nlisten = [':443']\n[mta-sts]\nmode = 'enforce'\n"
	for _, tt := range []struct {
		name, text string
		root       bool
		want       []string
	}{
		{name: "nothing", text: names + "listen = [':25']\n" + good},
		{name: "bare names", text: "hostname = 'mx1'\ndomains = ['example', 'localhost']\nlisten = [':25']\n", want: []string{
			`postern.toml:1: hostname: "mx1" is a bare name`, `postern.toml:2: domains: "example" is a bare name`}},
		{name: "bare names, on loopback", text: "hostname = 'mx1'\ndomains = ['example']\nlisten = ['127.0.0.1:25', '[::1]:25', 'localhost:26']\n"},
		{name: "mode for comparison", text: names + "listen = [':25']\nmode = 'stock'\n", want: []string{`postern.toml:4: mode: "stock" sends session tickets before`}},
		{name: "mode for comparison, on loopback", text: names + "mode = 'stock'\n"},
		{name: "another mode", text: names + "listen = [':25']\nmode = 'no-ticket'\n"},
		{name: "expired", text: names + certificate("expired", testcert.Options{Names: mx, NotAfter: now.AddDate(0, 0, -1)}, 0o600),
			want: []string{"postern.toml:4: certificate[0].cert: expired on 20"}},
		{name: "few days left", text: names + certificate("few", testcert.Options{Names: mx, NotAfter: now.AddDate(0, 0, 13)}, 0o600),
			want: []string{"postern.toml:4: certificate[0].cert: expires on 20"}},
		{name: "short RSA key", text: names + certificate("short", testcert.Options{Names: mx, NotAfter: now.AddDate(0, 2, 0), Key: short}, 0o600),
			want: []string{"postern.toml:4: certificate[0].cert: has an RSA key of 1024 bits"}},
		{name: "Ed25519 only", text: names + certificate("ed25519", testcert.Options{Names: mx, NotAfter: now.AddDate(0, 2, 0), Key: edwards}, 0o600),
			want: []string{"postern.toml:4: certificate[0].cert: all certificates have Ed25519 keys"}},
		{name: "Ed25519 beside another", text: names + certificate("ed25519-too", testcert.Options{Names: mx, NotAfter: now.AddDate(0, 2, 0), Key: edwards}, 0o600) + good},
		{name: "another name", text: names + certificate("another", testcert.Options{Names: []string{"example.org"}, NotAfter: now.AddDate(0, 2, 0)}, 0o600),
			want: []string{"postern.toml:4: certificate[0].cert: no certificate is for the hostname mx.example.org"}},
		{name: "enforce without certificates", text: names + enforce, want: []string{
			"postern.toml:6: mta-sts.mode: enforce needs a certificate for mx.example.org, mta-sts.example.org, and there is none"}},
		{name: "enforce without one for its host", text: names + enforce + good, want: []string{"enforce needs a certificate for mta-sts.example.org"}},
		{name: "enforce with ACME", text: names + enforce + "[acme]\n"},
		{name: "enforce with a wildcard", text: names + enforce + certificate("wildcard", testcert.Options{Names: []string{"*.example.org"}, NotAfter: now.AddDate(0, 2, 0)}, 0o640)},
		{name: "open key", text: names + certificate("open", testcert.Options{Names: mx, NotAfter: now.AddDate(0, 2, 0)}, 0o644),
			want: []string{"postern.toml:5: certificate[0].key: " + dir + "/open-key.pem is open to every user of this machine (mode 0644)"}},
		{name: "open data", text: names + "data = '" + open + "'\n", want: []string{"postern.toml:3: data: " + open + " is open to every user"}},
		{name: "metrics for all", text: names + "[metrics]\nlisten = ':9925'\n", want: []string{"postern.toml:4: metrics.listen: other machines can read the metrics"}},
		{name: "metrics for those with the token", text: names + "[metrics]\nlisten = ':9925'\ntoken-file = '" + token(0o600) + "'\n"},
		{name: "open token", text: names + "[metrics]\ntoken-file = '" + token(0o644) + "'\n", want: []string{"postern.toml:4: metrics.token-file: " + dir + "/token-0644 is open to every user"}},
		{name: "root", root: true, text: names + "listen = [':25']\n", want: []string{"data (by default): postern runs as root"}},
		{name: "root, on loopback", root: true, text: names},
		{name: "loop", text: names + "listen = [':2525']\nnext-hop = 'smtp://localhost:2525'\n",
			want: []string{"postern.toml:4: next-hop: leads to postern itself, which listens on :2525"}},
		{name: "another port", text: names + "listen = [':2525']\nnext-hop = 'smtp://127.0.0.1:2526'\n"},
		{name: "another machine", text: names + "listen = [':25']\nnext-hop = 'smtp://192.0.2.1:25'\n"},
		{name: "hidden address", text: names + "next-hop = 'smtp://192.0.2.1:25?xclient=off'\n",
			want: []string{"postern.toml:3: next-hop: the next hop does not learn the sender's address"}},
		{name: "no socket", text: names + "next-hop = 'lmtp+unix:///nowhere/lmtp'\n",
			want: []string{"postern.toml:3: next-hop: /nowhere/lmtp: the folder /nowhere does not exist"}},
		{name: "PROXY protocol", text: names + "next-hop = 'smtp://192.0.2.1?xclient=off&proxy=v2'\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("postern.toml", []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			uid := 1000
			if tt.root {
				uid = 0
			}
			got := mustLoad(t, "postern.toml", Flags{}).Warnings(now, uid)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i].Error(), want) || got[i].Remedy == "" {
					t.Errorf("got %v, want %q with a remedy", got[i], want)
				}
			}
		})
	}
}

// The modes decide for another user than ours; root reads everything.
func TestServiceAccountIsBlockedByModes(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "private")
	key := filepath.Join(dir, "key.pem")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mode := func(file string, mode os.FileMode) {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	for dir := outer; dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		mode(dir, 0o755)
	}
	other := serviceAccount{name: "postern", uid: os.Getuid() + 1000}
	group := serviceAccount{name: "postern", uid: os.Getuid() + 1000, groups: []int{os.Getgid()}}
	owner := serviceAccount{name: "postern", uid: os.Getuid()}
	check := func(s serviceAccount, want string) {
		t.Helper()
		if got := s.blocked(key); got != want {
			t.Errorf("blocked by %q, want %q", got, want)
		}
	}
	check(owner, "")
	check(other, key)
	check(serviceAccount{}, "")
	mode(key, 0o640)
	check(group, dir)
	mode(dir, 0o710)
	check(group, "")
	check(other, key)
	mode(key, 0o644)
	check(other, dir)
	mode(dir, 0o711)
	check(other, "")
}

func TestListensOn(t *testing.T) {
	for _, tt := range []struct {
		address, ip, port string
		want              bool
	}{
		{":25", "127.0.0.1", "25", true},
		{"0.0.0.0:25", "127.1.2.3", "25", true},
		{"[::]:25", "::1", "25", true},
		{":25", "0.0.0.0", "25", true},
		{":25", "127.0.0.1", "26", false},
		{":25", "192.0.2.1", "25", false},
		{"192.0.2.1:25", "192.0.2.1", "25", true},
		{"192.0.2.1:25", "127.0.0.1", "25", false},
		{"localhost:25", "127.0.0.1", "25", true},
		{"localhost:25", "192.0.2.1", "25", false},
	} {
		if got := listensOn(tt.address, netip.MustParseAddr(tt.ip), tt.port); got != tt.want {
			t.Errorf("%s takes connections to %s port %s: %v, want %v", tt.address, tt.ip, tt.port, got, tt.want)
		}
	}
}
