package sessionticket

import (
	"errors"
	"fmt"
	"strings"

	"postern/internal/tlsrecord"
)

// recordOverhead is what encryption adds to a record: the content type and the tag,
// 16 bytes in every suite that crypto/tls has. It never pads (RFC 8446, Section 5.2).
const recordOverhead = 1 + 16

const (
	// alertRecordLen is the length of an encrypted alert: level and description.
	alertRecordLen = tlsrecord.HeaderLen + 2 + recordOverhead
	// finishedRecordLen is the length of the shortest encrypted Finished: a
	// message header and a SHA-256 (RFC 8446, Section 4.4.4).
	finishedRecordLen = tlsrecord.HeaderLen + 4 + 32 + recordOverhead
)

// newSessionTicketLen is the length of the NewSessionTicket message that crypto/tls
// makes around a ticket of label bytes: message header, ticket_lifetime,
// ticket_age_add, an empty ticket_nonce, ticket, no extensions (RFC 8446,
// Section 4.6.1).
func newSessionTicketLen(label int) int {
	return 4 + 4 + 4 + 1 + 2 + label + 2
}

// findTicket looks for the records of a message of due bytes, either all of them at
// the end of b, or the first of them as the whole of b. It returns where they begin
// and how much of the message they hold.
//
// Crypto/tls writes the first way when the ticket belongs to the server's flight,
// which it collects, and the second when it comes after a client certificate.
func findTicket(b []byte, due int) (at, content int, ok bool) {
	first := min(due, tlsrecord.MaxPlaintext)
	if len(b) == tlsrecord.HeaderLen+first+recordOverhead && isEncrypted(b, first) {
		return 0, first, true
	}
	at = len(b) - recordsLen(due)
	if at <= 0 || !endsAt(b, at) {
		return 0, 0, false
	}
	for rest, left := b[at:], due; left > 0; {
		part := min(left, tlsrecord.MaxPlaintext)
		if !isEncrypted(rest, part) {
			return 0, 0, false
		}
		rest, left = rest[tlsrecord.HeaderLen+part+recordOverhead:], left-part
	}
	return at, due, true
}

// recordsLen is how much room a message of n bytes takes as encrypted records.
func recordsLen(n int) int {
	count := (n + tlsrecord.MaxPlaintext - 1) / tlsrecord.MaxPlaintext
	return n + count*(tlsrecord.HeaderLen+recordOverhead)
}

// isEncrypted reports whether b begins with an encrypted record of that much content.
func isEncrypted(b []byte, content int) bool {
	length, ok := recordLen(b)
	return ok && b[0] == tlsrecord.ApplicationData && length == tlsrecord.HeaderLen+content+recordOverhead
}

// endsAt reports whether a record of b ends at that offset.
func endsAt(b []byte, at int) bool {
	for at > 0 {
		n, ok := recordLen(b)
		if !ok || n > at {
			return false
		}
		b, at = b[n:], at-n
	}
	return true
}

// recordLen is the length of the record that b begins with, its header included.
func recordLen(b []byte) (int, bool) {
	if len(b) < tlsrecord.HeaderLen || b[0] < tlsrecord.ChangeCipherSpec || b[0] > tlsrecord.ApplicationData {
		return 0, false
	}
	n := tlsrecord.Length(b)
	return tlsrecord.HeaderLen + n, n <= tlsrecord.MaxCiphertext && tlsrecord.HeaderLen+n <= len(b)
}

// isAlertSized reports whether b is one encrypted record with two bytes in it: an
// alert, or as little of anything else.
func isAlertSized(b []byte) bool {
	return len(b) == alertRecordLen && isEncrypted(b, 2)
}

// ErrNotWrapped is given to [Gate.OnBypass] when a config of the gate serves a
// connection that is not one of the gate's.
var ErrNotWrapped = errors.New("sessionticket: TLS runs over a conn that the gate does not know; use Gate.Listener or Gate.Conn, and give wrappers a NetConn method")

// LayoutError is given to [Gate.OnBypass] when crypto/tls wrote a ticket otherwise
// than the gate expects: after a change in Go, or through a wrapper between
// [tls.Server] and the gate's conn that collects or cuts what it writes.
type LayoutError struct {
	// Ticket is the length of the NewSessionTicket message that was expected, in bytes.
	Ticket int
	// Records are those of the write in which it should have been, as type:length,
	// with the length of RFC 8446, Section 5.1. At most 32 are listed.
	Records []string
}

// maxListedRecords bounds LayoutError. A flight has about 6, with a chain of 100 KiB 12.
const maxListedRecords = 32

func newLayoutError(b []byte, ticket int) *LayoutError {
	e := &LayoutError{Ticket: ticket}
	for len(b) > 0 && len(e.Records) < maxListedRecords {
		n, ok := recordLen(b)
		if !ok {
			e.Records = append(e.Records, fmt.Sprintf("%d bytes of no whole record", len(b)))
			break
		}
		e.Records = append(e.Records, fmt.Sprintf("%d:%d", b[0], n-tlsrecord.HeaderLen))
		b = b[n:]
	}
	return e
}

// Error lists the records.
func (e *LayoutError) Error() string {
	return fmt.Sprintf("sessionticket: crypto/tls wrote records [%s], expected a ticket of %d bytes in records of its own at their end; it was sent as written",
		strings.Join(e.Records, " "), e.Ticket)
}
