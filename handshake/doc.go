// Package handshake keeps TLS handshakes as transcripts: which message went when, in
// which write, how large, and where it ended.
//
// # Sources
//
//   - RFC 8446 (TLS 1.3), RFC 5246 (TLS 1.2)
package handshake
