// Package sessionticket controls when a crypto/tls server sends its TLS 1.3 session
// tickets.
//
// A crypto/tls server sends its NewSessionTicket in the same flight as its Finished,
// before the client's. RFC 8446, Section 4.6.1 allows that; most servers wait, and
// some clients, large mail senders among them, close the connection when they get
// it. This package holds the ticket until the client's Finished has arrived, so that
// these clients can connect while tickets stay on.
//
// Any server needs three lines:
//
//	gate := new(sessionticket.Gate)
//	listener = gate.Listener(listener)
//	config = gate.Config(config)
//
// A server that starts TLS later, as SMTP does with STARTTLS, wraps the listener of
// the plain connections. Until TLS starts, bytes pass unchanged. The folder examples of the
// module has such servers, each in a file.
//
// The gate has no cryptography of its own and no access to keys. Crypto/tls collects
// the server's flight and writes it at once, with the ticket's record at the end. The
// gate learns from WrapSession that a ticket was made and how long it is, holds that
// record, and sends it when the handshake has returned.
//
// # When the ticket leaves
//
// What is known: outlook.com closed after the flight with the ticket, and its side
// reported "Security status Renegotiate". Schannel's DecryptMessage returns
// SEC_I_RENEGOTIATE for each NewSessionTicket of TLS 1.3. What is inferred: the ticket
// came in a read where the program takes that status for an error. Either the order was
// the reason, the ticket before the client's Finished, or the coalescing, the ticket in
// one read with the server's Finished. Other Schannel programs failed on a ticket in one
// read with data. [OwnWrite], the default, avoids all three, as OpenSSL servers do;
// [FirstWrite] avoids the first two.
//
// A write of its own is a TCP segment of its own, since Go sets TCP_NODELAY. A client
// that is slow to read can still find ticket and data in one read.
//
// # Limits
//
//   - An alert in the handshake after the server's flight has a later record number
//     than the held ticket, so both are sent, in one write. As without the gate, such a
//     client gets a ticket although its Finished was wrong or VerifyConnection rejected
//     it. A client that closes or sends an alert itself gets none.
//   - Modes [NoTicket] and [TLS12] disable resumption as well as new tickets.
//   - Fields set on the config that [Gate.Config] returned have no effect.
//   - Closing the conn below [tls.Conn] directly discards a ticket that is still held;
//     [tls.Conn.Close] sends it.
//   - The wrapped conn has the methods of [net.Conn] and NetConn, and no others of
//     the conn below, such as ReadFrom of a TCP conn.
//
// # Compatibility
//
// The gate relies on how crypto/tls lays out its flight, which is not documented. The
// tests check it for every kind of handshake. If it ever differs, the gate sends
// everything as it was written and reports that once: see [Gate.OnBypass].
//
// TLS 1.2 and older, QUIC, and clients that accept no tickets are not affected. Full
// and resumed handshakes, HelloRetryRequest, client certificates, KeyUpdate and
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
//   - https://github.com/curl/curl/issues/18983 (SEC_I_RENEGOTIATE for each ticket),
//     https://github.com/dotnet/runtime/issues/34181 (the status named Renegotiate)
//   - https://github.com/dotnet/runtime/pull/103419 (bytes read together with the last
//     handshake message), https://github.com/curl/curl/issues/18029 (ticket and data in
//     one read)
package sessionticket
