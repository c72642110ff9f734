package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/testpeer"
)

// A health check that runs a command, as that of the container does, learns whether mail is taken.
func TestStatusSaysWhetherMailIsTaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		flags  []string
		ended  bool
		want   string
		status int
	}{
		{name: "taken", want: "ready\n"},
		{name: "next hop down", flags: []string{"--next-hop", "smtp://127.0.0.1:1"}, want: "not ready: the next hop takes no mail", status: 1},
		{name: "ended", ended: true, want: "connection refused", status: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := testpeer.FreeAddr(t)
			p := start(t, append([]string{"--metrics", address}, tt.flags...)...)
			if tt.ended {
				p.terminate()
			}
			config := filepath.Join(t.TempDir(), "postern.toml")
			if err := os.WriteFile(config, []byte("[metrics]\nlisten = \""+address+"\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			out, status := runPostern(t, "status", "--ready", "--config", config)
			if status != tt.status || !strings.Contains(out, tt.want) {
				t.Errorf("postern status --ready prints, with exit status %d, want %d and %q:\n%s", status, tt.status, tt.want, out)
			}
		})
	}
}
