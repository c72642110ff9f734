package delivery

import (
	"net/netip"
	"strings"

	"postern/interop"
)

// NextStep is the one next step about senders that fail alike, as a sentence. The case is nil if
// none is known. The answer is how Postern answers their next attempt, as the ledger has it.
func NextStep(effect Effect, of *interop.Case, answer string, inPlaintext bool, networks []netip.Prefix) string {
	mode, changes := NextMode(answer)
	switch {
	case effect == InPlaintext && of == nil:
		return "Ask the sender's postmaster what their log says of the failed handshakes; the handshake has their time and address."
	case changes && !inPlaintext:
		return "Wait for its next attempt, which Postern answers in mode " + mode + "."
	case of != nil:
		if len(networks) == 1 {
			return strings.ReplaceAll(of.Remedy.Postern, "NETWORK", networks[0].String())
		}
		return of.Remedy.Postern
	case effect == LastFailed:
		return "Wait for its next attempt. If that fails too, look at the handshake."
	}
	return "Look at the handshake, and ask the sender's postmaster what their log says of it."
}

// NextMode returns the mode in an answer, and whether it is another one than before.
func NextMode(answer string) (mode string, changes bool) {
	rest, ok := strings.CutPrefix(answer, "mode ")
	mode, _, reason := strings.Cut(rest, ": ")
	return mode, ok && reason && !strings.Contains(mode, " ")
}
