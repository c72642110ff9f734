package persona

import "crypto/tls"

var bigHello = Persona{
	ID:        "big-hello",
	Case:      "big-hello",
	Does:      "Sends a ClientHello with a key for X25519MLKEM768, about 1,500 bytes, in one write",
	configure: postQuantum,
}

func postQuantum(config *tls.Config, _ Target) error {
	config.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.X25519}
	return nil
}
