package smtp

// Mail is what a MAIL command says (RFC 5321, Section 4.1.1.2).
type Mail struct {
	From       string // the mailbox, "" for the null reverse-path <>
	Size       int64  // SIZE=, 0 if not given (RFC 1870)
	EightBit   bool   // BODY=8BITMIME (RFC 6152)
	UTF8       bool   // SMTPUTF8 (RFC 6531)
	RequireTLS bool   // REQUIRETLS (RFC 8689)
	Return     string // RET= FULL or HDRS, "" if not given (RFC 3461)
	EnvelopeID string // ENVID= as xtext, "" if not given (RFC 3461)
}

// Recipient is what a RCPT command says (RFC 5321, Section 4.1.1.3).
type Recipient struct {
	To       string // the mailbox; a source route is already removed
	Notify   string // NOTIFY= as given, "" if not (RFC 3461)
	Original string // ORCPT= as given, "" if not (RFC 3461)
}
