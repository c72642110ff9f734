// Package logkey names the attributes of the log, so that one thing has one
// name in every line.
package logkey

// The attribute keys. Their values are documented in docs/operating.md.
const (
	Session    = "session" // the session's id, as in its replies
	Sender     = "sender"  // the sender's address and port
	EHLO       = "ehlo"    // what the sender called itself
	TLS        = "tls"     // version, suite, and whether the session was resumed
	From       = "from"    // the envelope's sender
	Recipients = "rcpts"   // the envelope's recipients, or their number
	Messages   = "messages"
	Bytes      = "bytes" // of message text
	Duration   = "duration"
	Reply      = "reply" // the reply to the sender
	End        = "end"   // how a session ended
	NextHop    = "nexthop"
	Step       = "step" // where in the dialogue with the next hop
	Err        = "err"

	Case    = "case"    // of interop, or unknown
	Stopped = "stopped" // where a handshake stopped
	JA4     = "ja4"     // the fingerprint of the ClientHello
	Next    = "next"    // what the sender is offered when it comes again
	Network = "network" // that a sender belongs to

	Certificate = "certificate" // the path of its file
	Names       = "names"       // those that a certificate is for
	KeyKind     = "key"         // ECDSA, RSA or Ed25519
	Expires     = "expires"
	Reason      = "reason"

	Client = "client" // of the web: its address and port
	Method = "method"
	Host   = "host" // that was asked for
	Path   = "path"
	Status = "status"

	Ledger  = "ledger"  // the path of its file
	Aside   = "aside"   // where a damaged one was put
	Dropped = "dropped" // number of events that were not stored
	Pins    = "pins"    // their number
	Schema  = "schema"  // the number of the last migration

	Domain  = "domain"
	Mode    = "mode"    // TLS mode of a session, or mode of an MTA-STS policy
	MX      = "mx"      // its patterns
	Address = "address" // of a host, with its port

	Report    = "report"    // its number in the ledger
	New       = "new"       // whether it was not there before
	Via       = "via"       // how it came: mail, https
	Submitter = "submitter" // the domain that it says to come from
	Verdict   = "verdict"   // why it is trusted or not

	Listen  = "listen"
	Domains = "domains"
	Signal  = "signal"
	Keys    = "keys" // of the configuration
	Remedy  = "remedy"
	Line    = "line" // of the log of a library
)
