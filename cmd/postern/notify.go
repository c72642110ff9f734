package main

import (
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"

	"postern/internal/logkey"
)

// notify tells systemd about the service's state, where it runs under systemd.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told of the state", logkey.Err, err)
	}
}
