package tlsrpt

import (
	"encoding/json"
	"net/netip"
	"time"
)

// A Report is what one sender says about a span of time, usually a day: RFC 8460, Section 4.4. Fields
// that it lacked are zero.
type Report struct {
	Organization string    // organization-name: who sends the report
	Start, End   time.Time // date-range, in UTC
	Contact      string    // contact-info
	ID           string    // report-id
	Policies     []PolicyResult
	Extra        Extra

	// Warnings name what was odd about the report. They are not written.
	Warnings []Warning
}

// A PolicyResult says how the sessions under one policy went.
type PolicyResult struct {
	Policy     Policy
	Successful int64 // total-successful-session-count
	Failed     int64 // total-failure-session-count; the sum of Failures may differ
	Failures   []Failure
	Extra      Extra // of the result and of its summary
}

// A Policy is what the sender took for the domain's policy.
type Policy struct {
	Type    PolicyType
	Strings []string // policy-string: lines of the MTA-STS policy, or TLSA records
	Domain  string   // policy-domain
	MXHosts []string // mx-host: the mx patterns of an MTA-STS policy
	Extra   Extra
}

// A Failure counts sessions that failed alike.
type Failure struct {
	Result         ResultType
	SendingMTA     netip.Addr // sending-mta-ip
	ReceivingMX    string     // receiving-mx-hostname
	ReceivingHelo  string     // receiving-mx-helo
	ReceivingIP    netip.Addr
	Sessions       int64  // failed-session-count
	AdditionalInfo string // additional-information
	ReasonCode     string // failure-reason-code: a code, or free text
	Extra          Extra
}

// Extra keeps the fields that have no other place, compacted but otherwise as they came: those
// that the RFC does not know, and those whose value is of a wrong kind. Nil when there are none.
type Extra map[string]json.RawMessage
