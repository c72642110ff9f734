package sessionticket

import (
	"crypto/tls"
	"time"
)

// useKeys makes config encrypt and decrypt tickets with the keys of owner, unless it has
// functions of its own for that. A clone alone is not enough: it does not follow when the
// keys of its origin change.
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
// config, which crypto/tls does not expose. Keys that were set do not expire, so a
// config with such keys does not call Time to find them; one that rotates keys by
// itself always does.
func hasSetKeys(config *tls.Config) bool {
	probe := config.Clone()
	probe.Rand = nil // the keys made here are discarded: do not use the caller's source
	lookForKeys(probe)

	asked := false
	probe.Time = func() time.Time {
		asked = true
		return time.Now()
	}
	lookForKeys(probe)
	return !asked
}

// lookForKeys makes config find its ticket keys, or create them. The first call turns
// a SessionTicketKey into a key with a date.
func lookForKeys(config *tls.Config) {
	_, _ = config.DecryptTicket(nil, tls.ConnectionState{})
}
