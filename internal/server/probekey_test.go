package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProbeKeyIsCreatedOnceAndOnlyOwnerCanReadIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "probe.key")
	first := openProbeKey(path, slog.New(slog.DiscardHandler))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	second := openProbeKey(path, slog.New(slog.DiscardHandler))
	if first.IsZero() || string(first.Text()) != string(second.Text()) {
		t.Error("after a restart the key is another one")
	}
}

// Mail arrives without it.
func TestServerWithABadProbeKeyHasNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "probe.key")
	if err := os.WriteFile(path, []byte("no key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := make(lines, 1)
	if key := openProbeKey(path, slog.New(slog.NewJSONHandler(log, nil))); !key.IsZero() {
		t.Errorf("the key is %q", key.Text())
	}
	if line := <-log; !strings.Contains(line, path) {
		t.Errorf("the log says %s", line)
	}
}
