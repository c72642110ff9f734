// Package smtp is the SMTP syntax shared by server and relay: commands, replies,
// extensions, dot-stuffing and the check of a message's text (RFC 5321 and its
// extensions).
//
// It parses untrusted input, and every reader is bounded. It opens no connection
// and sets no deadline: the caller does.
package smtp
