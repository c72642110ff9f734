// Package logkey names the attributes of the log, so that one thing has one
// name in every line. docs/logs.md explains each of them, and lists all messages.
package logkey

const (
	Session    = "session" // session ID, as in SMTP replies
	Sender     = "sender"  // address and port of the SMTP client
	EHLO       = "ehlo"    // last name in its EHLO
	Probe      = "probe"   // present, and true, in a session of the operator's own probe
	TLS        = "tls"     // version, cipher suite, and whether the session was resumed
	From       = "from"    // envelope sender
	Recipients = "rcpts"   // envelope recipients, or their number
	Messages   = "messages"
	Bytes      = "bytes" // of message text
	Duration   = "duration"
	Reply      = "reply"      // SMTP reply to the sender
	Command    = "command"    // verb that was refused
	By         = "by"         // who refused it: postern or next hop
	Refused    = "refused"    // number of commands with a 5xx reply
	Deferred   = "deferred"   // number of commands with a 4xx reply
	End        = "end"        // how a session ended
	Failures   = "failures"   // how often it failed since the last line about it
	Limit      = "limit"      // that was reached: total, or a network or address
	OverLimit  = "over_limit" // number of sessions that ended at a limit
	Admitted   = "admitted"   // number of the other sessions
	NextHop    = "nexthop"
	Step       = "step" // of the dialogue with the next hop
	Err        = "err"

	Case         = "case"         // ID of package interop, or unknown
	Confidence   = "confidence"   // of the case
	Alternatives = "alternatives" // to the case
	Was          = "was"          // diagnosis before it was revised
	Later        = "later"        // ID of the session that showed more
	Stopped      = "stopped"      // where a handshake stopped
	JA4          = "ja4"          // fingerprint of the ClientHello
	Next         = "next"         // TLS mode for the sender's next handshake, and why
	Network      = "network"      // of a sender: IPv4 /24 or IPv6 /48

	Certificate  = "certificate"  // path of its file
	Certificates = "certificates" // their number
	Names        = "names"        // in a certificate
	KeyType      = "key"          // ECDSA, RSA or Ed25519
	Expires      = "expires"
	ValidFrom    = "valid_from"
	Reason       = "reason"

	Client = "client" // address and port of a web client
	Method = "method"
	Host   = "host" // that a web client asked for
	Path   = "path"
	Status = "status"

	User     = "user"     // of the dashboard
	Role     = "role"     // viewer or operator
	Action   = "action"   // what a user of the dashboard did
	Sessions = "sessions" // number of logins that were ended

	Connections = "connections" // their number
	Requests    = "requests"    // number of web requests
	Descriptors = "descriptors" // of files that the process may have open
	Configured  = "configured"  // value of a setting that does not apply

	Ledger  = "ledger"  // path of its file
	Aside   = "aside"   // path of a damaged one
	Dropped = "dropped" // number of events that were not stored
	Pins    = "pins"    // their number
	Schema  = "schema"  // number of the last migration

	Domain  = "domain"
	Mode    = "mode"    // TLS mode of a session, or mode of an MTA-STS policy
	MX      = "mx"      // patterns of an MTA-STS policy
	Address = "address" // of a host, with its port

	Report    = "report"    // its number in the ledger
	New       = "new"       // whether it was not stored before
	Via       = "via"       // mail or https
	Submitter = "submitter" // domain that a report claims to be from
	Verdict   = "verdict"   // why it is verified or not

	Member = "member" // name of a host of the fleet
	Part   = "part"   // of what the fleet shares
	Turn   = "turn"   // of the ring of ticket keys
	Entry  = "entry"  // name of what is stored in NATS

	Alert   = "alert"   // its number in the ledger
	Kind    = "kind"    // of an alert
	Subject = "subject" // who or what it is about
	Since   = "since"
	Events  = "events" // of alerts, their number

	Hosts    = "hosts"    // number of hosts that were checked
	Severity = "severity" // of the worst finding

	Listen  = "listen"
	Domains = "domains"
	Added   = "added"   // domains and recipients that mail is accepted for since a reload
	Removed = "removed" // those that it no longer is
	Signal  = "signal"
	Keys    = "keys" // of the configuration
	Remedy  = "remedy"
	Line    = "line" // of a library's log
)
