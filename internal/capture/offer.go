package capture

import (
	"bytes"
	"strings"
)

// An Offer is what a server's reply to EHLO says about STARTTLS (RFC 3207, Section 2).
type Offer uint8

// The offers.
const (
	OfferUnknown Offer = iota // no EHLO, or its reply is not whole in the capture
	Offered                   // STARTTLS is in the reply
	NotOffered                // it is not
	OfferMasked               // a device overwrote it
)

// An offerReader reads the replies to EHLO.
type offerReader struct {
	reading bool // the next lines are a reply to EHLO
	first   bool // the next line is its first, which has no keyword
	found   Offer
	mask    string
}

// command notes the verb of a command.
func (o *offerReader) command(verb string) {
	if verb == "EHLO" || verb == "LHLO" {
		*o = offerReader{reading: true, first: true}
	}
}

// reply reads a line of the server, nil if data is missing. Done reports that the reply is
// complete.
func (o *offerReader) reply(line []byte) (done bool) {
	if !o.reading {
		return false
	}
	keyword := ""
	if isReply(line) && len(line) > 4 {
		keyword, _, _ = strings.Cut(string(line[4:]), " ")
	}
	switch {
	case !isReply(line), line[0] != '2':
		*o = offerReader{}
		return false
	case o.first:
		o.first = false
	case strings.EqualFold(keyword, "STARTTLS"):
		o.found = Offered
	case isMask(keyword) && o.found == OfferUnknown:
		o.found, o.mask = OfferMasked, string(line)
	}
	if isContinued(line) {
		return false
	}
	o.reading = false
	if o.found == OfferUnknown {
		o.found = NotOffered
	}
	return true
}

// isMask reports whether a word was overwritten by a device that inspects SMTP: Cisco's write
// XXXXXXXA or XXXA, others asterisks. Small letters are those of people who make a capture
// anonymous.
func isMask(word string) bool {
	return len(word) >= 4 && (strings.Trim(word[:len(word)-1], "X") == "" || strings.Trim(word, "*") == "")
}

// isMaskedBanner reports whether a greeting consists of asterisks, but for its code. The digits
// of a date or version may be left.
func isMaskedBanner(line []byte) bool {
	return len(line) > 4 && bytes.Count(line[4:], []byte("*")) >= 4 && bytes.Count(line[4:], []byte("*"))*2 > len(line[4:])
}
