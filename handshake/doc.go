// Package handshake records TLS handshakes as transcripts: which message was sent when,
// in which write, how large it was, and where the handshake ended.
//
// When a client cannot connect, a TLS library reports one line, often only "EOF". The
// cause shows in the order of the messages and in the last of them. This package records
// them below crypto/tls, without secrets, or from a packet capture.
//
// In a TLS server it takes two lines, and one after a failed handshake:
//
//	recorder := handshake.NewConn(conn, handshake.AtServer)
//	recorder.Begin()
//	...
//	fmt.Print(recorder.Stop(handshake.UseNone).Diagram(handshake.DiagramOptions{}))
//
// A [Conn] records a connection of this process, a [Recorder] bytes from anywhere. A
// [Transcript] is printed with [Transcript.Diagram] and stored as JSON, which [Parse]
// reads.
//
// # Encrypted messages
//
// TLS 1.3 encrypts everything after the ServerHello. A server's recorder decrypts
// nothing: it infers messages from their order and size and marks them as inferred. With
// crypto/tls, OpenSSL and GnuTLS that is exact, since they do not pad and put each message
// into a record of its own. Messages of servers that pad them, or put several into a
// record, stay [TypeUnknown]. So do records that may be either a ticket or the first
// reply, unless [Conn.ExpectTicket] is called. With keys, from a prober or a key log,
// every message is named: see [Keys].
//
// # Limits
//
//   - A recorder holds at most 20 KiB until [Conn.Stop], and while a ClientHello arrives
//     at most 64 KiB of it; with keys two records more. Of a longer ClientHello only the
//     size is kept. JA4 is computed from the whole; of its lists the first 64 values are
//     kept, of the cipher suites 128. A transcript has at most [MaxMessages] messages; of application data only the
//     first of each side.
//   - Early data (RFC 8446, Section 4.2.10) may be named wrongly after the ServerHello.
//     No mail client is known to send any.
//   - A 2-byte record that is a side's last is taken for an alert.
//   - An encrypted alert that crypto/tls sends is seen, but its description is not.
//   - Sizes are exact if the cipher suite does not pad. With the CBC suites of TLS 1.2 and
//     before they are those of the records.
//   - QUIC and DTLS are not supported.
//
// # Compatibility
//
// The JSON format has a version, and each release reads all earlier ones: see
// docs/transcript-format.md. Which messages are inferred may improve with a release.
//
// # Concurrency
//
// A Conn is as safe for concurrent use as the conn below it. A Recorder is not safe for
// concurrent use. A Transcript may be read concurrently.
//
// # Sources
//
//   - RFC 8446 (TLS 1.3), RFC 5246 (TLS 1.2), RFC 5077 (tickets before TLS 1.3),
//     RFC 6066 and RFC 7301 (SNI and ALPN), RFC 8701 (GREASE)
//   - https://github.com/FoxIO-LLC/ja4, technical_details/JA4.md (JA4)
package handshake
