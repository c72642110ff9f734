package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFleetSettingsAreChecked(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := `secret-file = "` + write("secret", strings.Repeat("5", 64)+"\n") + `"`
	short := `secret-file = "` + write("short", "swordfish\n") + `"`
	server := `servers = ["nats://127.0.0.1:4222"]`
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", "fleet.servers"},
		{"no server", secret, "fleet.servers"},
		{"not a URL", secret + "\n" + `servers = ["nats1.example.org"]`, "is not a URL"},
		{"no secret", server, "fleet.secret-file"},
		{"a secret that can be guessed", server + "\n" + short, "less than 32 bytes"},
		{"no file", server + "\n" + `secret-file = "` + dir + `/none"`, "fleet.secret-file"},
		{"a prefix that NATS does not take", server + "\n" + secret + "\n" + `prefix = "a.b"`, "fleet.prefix"},
		{"no credentials", server + "\n" + secret + "\n" + `credentials = "` + dir + `/none"`, "fleet.credentials"},
		{"no authority", server + "\n" + secret + "\n" + `ca = "` + dir + `/secret"`, "fleet.ca"},
	} {
		_, err := Load(write("postern.toml", "hostname = \"mx.example.org\"\n[fleet]\n"+test.text+"\n"), Flags{Data: dir}, nil)
		var problems Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want a problem with %s", test.name, err, test.want)
		}
	}
	c := mustLoad(t, write("postern.toml", "hostname = \"mx.example.org\"\n[fleet]\n"+server+"\n"+secret+"\n"), Flags{Data: dir})
	if f := c.Fleet; !f.Enabled || f.Name != "mx.example.org" || f.Prefix != "postern" || string(f.Secret) != strings.Repeat("5", 64) {
		t.Errorf("the fleet is %+v", f)
	}
}
