package persona

import "crypto/tls"

var bigHello = Persona{
	ID:        "big-hello",
	Case:      "big-hello",
	Does:      "Sends a ClientHello with a key for X25519MLKEM768, about 1,500 bytes, in one write",
	configure: postQuantum,
}

// postQuantum has the groups that servers have besides, as such senders do: what is
// to be seen is whether the size does harm.
func postQuantum(config *tls.Config, _ Target) error {
	config.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}
	return nil
}
