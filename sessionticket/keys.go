package sessionticket

import (
	"crypto/tls"
	"time"
)

// useKeys makes config encrypt and decrypt tickets with the keys of owner, where it
// has no functions of its own for that. A clone alone would not do: it stays behind
// when the keys of its origin change.
func useKeys(config, owner *tls.Config) {
	if config.WrapSession == nil {
		config.WrapSession = owner.EncryptTicket
	}
	if config.UnwrapSession == nil {
		config.UnwrapSession = owner.DecryptTicket
	}
}

// keysFor returns whose ticket keys a handshake uses when GetConfigForClient of
// base returned chosen: its own if any were set on it, else base's (the
// documentation of [tls.Config.GetConfigForClient]).
func keysFor(chosen, base *tls.Config) *tls.Config {
	if hasSetKeys(chosen) {
		return chosen
	}
	return base
}

// hasSetKeys reports whether SessionTicketKey or SetSessionTicketKeys was used on
// config, which crypto/tls does not tell. Keys that were set do not age, so a
// config with such keys never asks for the time when it looks for them; one that
// makes and rotates keys by itself always does.
func hasSetKeys(config *tls.Config) bool {
	probe := config.Clone()
	probe.Rand = nil // the keys made here are thrown away: leave the caller's source alone
	lookForKeys(probe)

	asked := false
	probe.Time = func() time.Time {
		asked = true
		return time.Now()
	}
	lookForKeys(probe)
	return !asked
}

// lookForKeys makes config find its ticket keys, or make them. The first call turns
// a SessionTicketKey into a key with a date.
func lookForKeys(config *tls.Config) {
	_, _ = config.DecryptTicket(nil, tls.ConnectionState{})
}
