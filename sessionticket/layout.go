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

// newSessionTicketLen returns the length of the NewSessionTicket message that crypto/tls
// writes for a ticket of label bytes: message header, ticket_lifetime,
// ticket_age_add, an empty ticket_nonce, ticket, no extensions (RFC 8446,
// Section 4.6.1).
func newSessionTicketLen(label int) int {
	return 4 + 4 + 4 + 1 + 2 + label + 2
}

// findTicket finds the records of a message of due bytes: all of them at the end of b, or
// the first of them as the whole of b. It returns where they begin and how many bytes of
// the message they have.
//
// Crypto/tls writes the first way when the ticket is in the server's flight, which it
// collects, and the second way when the ticket comes after a client certificate.
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

// recordsLen returns the length of the encrypted records of a message of n bytes.
func recordsLen(n int) int {
	count := (n + tlsrecord.MaxPlaintext - 1) / tlsrecord.MaxPlaintext
	return n + count*(tlsrecord.HeaderLen+recordOverhead)
}

// isEncrypted reports whether b begins with an encrypted record with that much content.
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

// ErrNotWrapped is passed to [Gate.OnBypass] when a config of the gate is used with a
// connection that the gate did not wrap.
var ErrNotWrapped = errors.New("sessionticket: TLS runs over a conn that is not wrapped by the gate; use Gate.Listener or Gate.Conn, and give wrappers a NetConn method")

// A LayoutError is passed to [Gate.OnBypass] when a ticket was not written as the gate
// expects: after a change in crypto/tls, or through a wrapper between [tls.Server] and
// the gate's conn that joins or splits writes.
type LayoutError struct {
	// Ticket is the length of the expected NewSessionTicket message in bytes.
	Ticket int
	// Records are the records of the write that should have contained it, at most 32,
	// as type:length (RFC 8446, Section 5.1).
	Records []string
}

// maxListedRecords bounds LayoutError.Records. A flight has about 6 records, with a
// certificate chain of 100 KiB 12.
const maxListedRecords = 32

func newLayoutError(b []byte, ticket int) *LayoutError {
	e := &LayoutError{Ticket: ticket}
	for len(b) > 0 && len(e.Records) < maxListedRecords {
		n, ok := recordLen(b)
		if !ok {
			e.Records = append(e.Records, fmt.Sprintf("%d bytes of an incomplete record", len(b)))
			break
		}
		e.Records = append(e.Records, fmt.Sprintf("%d:%d", b[0], n-tlsrecord.HeaderLen))
		b = b[n:]
	}
	return e
}

// Error returns a text with the records.
func (e *LayoutError) Error() string {
	return fmt.Sprintf("sessionticket: crypto/tls wrote records [%s], expected a ticket of %d bytes in records of its own at their end; it was sent as written",
		strings.Join(e.Records, " "), e.Ticket)
}
