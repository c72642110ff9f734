package server

import (
	"errors"
	"io/fs"
	"log/slog"

	"postern/internal/durable"
	"postern/internal/logkey"
	"postern/internal/probekey"
)

// openProbeKey returns the key in the file at path, and creates it if there is none. Without a
// key the server takes probes for senders.
func openProbeKey(path string, log *slog.Logger) probekey.Key {
	key, err := probekey.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = probekey.New()
		err = durable.WriteFile(path, key.Text(), 0o600)
	}
	if err != nil {
		log.Warn("no probe key; treating probes as senders", logkey.Err, err)
		return probekey.Key{}
	}
	return key
}
