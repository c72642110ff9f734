// Package logkey names the attributes of the log, so that one thing has one
// name in every line.
package logkey

// The attribute keys. Their values are documented in docs/operating.md.
const (
	Session = "session" // the session's id, as in its replies
	Sender  = "sender"  // the sender's address
	EHLO    = "ehlo"    // what the sender called itself
	NextHop = "nexthop"
	Err     = "err"
)
