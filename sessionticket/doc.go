// Package sessionticket decides when the TLS 1.3 session tickets of a crypto/tls
// server leave.
//
// A crypto/tls server sends its NewSessionTicket in the same flight as its Finished,
// before the client's. RFC 8446, Section 4.6.1 allows that; most servers wait, and
// some clients, large mail senders among them, close the connection over it. This
// package holds the ticket until the client's Finished, so that they get in and
// tickets stay on.
//
// It is two lines in any server:
//
//	gate := new(sessionticket.Gate)
//	listener = gate.Listener(listener)
//	config = gate.Config(config)
//
// A server that starts TLS later, as SMTP does with STARTTLS, wraps the listener of
// the plain connections; until TLS starts bytes pass untouched.
//
// The gate has no cryptography of its own and sees no secret. Crypto/tls collects
// the server's flight and writes it at once, with the ticket's record last. The gate
// learns from WrapSession that a ticket was made and how long it is, keeps that
// record, and puts it before the next write.
//
// # Limits
//
//   - An alert in the handshake after the server's flight has a later record number
//     than the held ticket. Neither leaves: the client sees the connection close.
//     So does one whose certificate was not asked for in this handshake and whom
//     VerifyConnection refuses. The server's error is the same as ever.
//   - Mode [NoTicket] turns resumption off together with new tickets.
//   - Fields set on the config that [Gate.Config] returned have no effect.
//   - Closing the conn below [tls.Conn] directly, before the server wrote anything,
//     discards a held ticket; [tls.Conn.Close] sends it.
//   - The wrapped conn has the methods of [net.Conn] and NetConn, and no others of
//     the conn below, such as ReadFrom of a TCP conn.
//
// # Compatibility
//
// The gate knows how crypto/tls lays out its flight, which no document promises. The
// tests compare that for each kind of handshake. Where it is ever different, the gate
// sends everything as it came and says so once: see [Gate.OnBypass].
//
// TLS 1.2 and older, QUIC, and clients that want no ticket are not touched. Full and
// resumed handshakes, HelloRetryRequest, client certificates, KeyUpdate and
// Encrypted Client Hello work as without the gate.
//
// # Concurrency
//
// A Gate, its listeners and its configs are safe for concurrent use. A conn of the
// gate is as safe as the one below it.
//
// # Sources
//
//   - RFC 8446, Sections 4.6.1 (when a ticket may be sent), 5.1 to 5.3 (records) and
//     4.2.9 (which clients get one)
//   - https://go.dev/issue/70232 (the clients that close)
package sessionticket
