// Package handshake keeps TLS handshakes as transcripts: which message went when, in
// which write, how large, and where it ended.
//
// When a client cannot get in, a TLS library has one line to say, often only "EOF".
// What tells the cause is the order of the messages, and what the last one was. This
// package records it below crypto/tls, without a secret, or from a capture.
//
// It is two lines in a TLS server, and one when the handshake failed:
//
//	recorded := handshake.NewConn(conn, handshake.AtServer)
//	recorded.Begin()
//	...
//	fmt.Print(recorded.Stop(handshake.UseNone).Diagram(handshake.DiagramOptions{}))
//
// A [Conn] records a connection of this process, a [Recorder] anything that passes
// bytes. A [Transcript] is drawn with [Transcript.Diagram], and kept as JSON, which
// [Parse] reads.
//
// # What is encrypted
//
// TLS 1.3 encrypts all after the ServerHello. On the serving side nothing is decrypted:
// messages are told by their order and size, and are marked as inferred. That is
// certain for crypto/tls, which never pads and has a record for each message; OpenSSL
// and GnuTLS do the same. Where a server packs several messages in a record, or pads
// them, they stay [TypeUnknown]. So does what may be a ticket or the first answer, unless
// [Conn.ExpectTicket] is called. With keys, as a prober has them and a capture with a key log,
// everything is named: see [Keys].
//
// # Limits
//
//   - A recorder holds at most [MaxMemory], and gives it back with [Conn.Stop]. Of a
//     ClientHello of more than 8 KiB only the size is known. A transcript has at most
//     [MaxMessages] messages; of application data the first of each side.
//   - A client that resumes with early data (RFC 8446, Section 4.2.10) may have it
//     named wrongly after the ServerHello. No mail client is known to send any.
//   - A 2-byte record that is a side's last is taken for an alert.
//   - The alert that crypto/tls sends under encryption is seen, its number is not.
//   - Size is that of the content where the suite does not pad: before TLS 1.3 not
//     with CBC, where it is the record's.
//   - Of QUIC and DTLS nothing is known.
//
// # Concurrency
//
// A Conn is as safe as the conn below it. A Recorder is for one goroutine. A Transcript
// is safe to read concurrently.
//
// # Sources
//
//   - RFC 8446 (TLS 1.3), RFC 5246 (TLS 1.2), RFC 5077 (tickets before TLS 1.3),
//     RFC 6066 and RFC 7301 (names and protocols), RFC 8701 (GREASE)
//   - https://github.com/FoxIO-LLC/ja4, technical_details/JA4.md (JA4)
package handshake
