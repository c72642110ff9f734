// Package keylog reads the key logs that TLS programs write (SSLKEYLOGFILE) and
// opens the encrypted records of a handshake with them, so that a transcript names
// every message.
//
// From a file beside a packet capture:
//
//	keys, err := keylog.Parse(file)
//	recorder.UseKeys(keys)
//
// From a connection of one's own, while it runs:
//
//	keys := new(keylog.Log)
//	config.KeyLogWriter = keys
//
// Whoever has a key log can read what its connections carried. A [Log] keeps only
// the four secrets a connection that open records of TLS 1.3, prints none of them,
// and puts none into an error.
//
// # Limits
//
// AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305 are opened, not AES-CCM; early data
// is not. A Log holds at most 32,768 connections; of those beyond it says so.
//
// # Sources
//
//   - RFC 9850 (the SSLKEYLOGFILE format)
//   - RFC 8446 (TLS 1.3), Sections 5.2, 5.3, 7.1 to 7.3
package keylog
