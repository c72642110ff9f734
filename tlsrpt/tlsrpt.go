// Package tlsrpt reads and writes TLS reports, RFC 8460: what senders of mail say about the
// TLS sessions that they had, or could not have, with a domain's MX hosts.
//
//	mail, err := tlsrpt.ParseMail(message) // or Parse, for the JSON alone
//	for _, warning := range mail.Report.Warnings {
//		fmt.Println(warning)
//	}
//
// # Compatibility
//
// Senders write reports in many ways. What is there is taken: a report is never refused for a
// field that is missing, odd or unknown. Each oddity leaves a [Warning], and what has no place in
// a [Report] is kept in its Extra fields. Only what is no report at all is refused, with
// [ErrNotReport].
//
// A report says what its sender says. Nothing here checks a signature: see RFC 8460, Section 5.3.
// Texts are kept as they came, control characters included, with a warning; whoever shows
// them must escape them.
//
// # Limits
//
// A report has at most [MaxReportSize] bytes when decompressed, a mail [MaxMailSize]. Beyond
// these, and beyond what no honest report nests, lists or attaches, the error is [ErrTooLarge].
//
// # Concurrency
//
// All functions are safe for concurrent use, as long as nobody changes the values meanwhile.
package tlsrpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

var (
	// ErrNotReport is in the chain of errors about what can be read but is no TLS report.
	ErrNotReport = errors.New("not a TLS report")

	// ErrTooLarge is in the chain of errors about what has more than is read.
	ErrTooLarge = errors.New("too large")
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

// A PolicyType is the kind of a policy. Unknown ones are kept as given.
type PolicyType string

// The policy types of RFC 8460, Section 4.4.
const (
	PolicyTLSA PolicyType = "tlsa"            // DANE
	PolicySTS  PolicyType = "sts"             // MTA-STS
	NoPolicy   PolicyType = "no-policy-found" // neither
)

// Known tells whether the RFC has the type.
func (t PolicyType) Known() bool { return t == PolicyTLSA || t == PolicySTS || t == NoPolicy }

// A ResultType is the way in which sessions failed. Unknown ones are kept as given.
type ResultType string

// The result types of RFC 8460, Section 4.3.
const (
	STARTTLSNotSupported    ResultType = "starttls-not-supported"
	CertificateHostMismatch ResultType = "certificate-host-mismatch"
	CertificateExpired      ResultType = "certificate-expired"
	CertificateNotTrusted   ResultType = "certificate-not-trusted"
	ValidationFailure       ResultType = "validation-failure" // all else, often a handshake that did not end
	TLSAInvalid             ResultType = "tlsa-invalid"
	DNSSECInvalid           ResultType = "dnssec-invalid"
	DANERequired            ResultType = "dane-required"
	STSPolicyFetchError     ResultType = "sts-policy-fetch-error"
	STSPolicyInvalid        ResultType = "sts-policy-invalid"
	STSWebPKIInvalid        ResultType = "sts-webpki-invalid"
)

// Known tells whether the RFC has the type.
func (t ResultType) Known() bool {
	switch t {
	case STARTTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted, ValidationFailure,
		TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid:
		return true
	}
	return false
}

// maxWarnings bounds the warnings of one report. Whoever needs more has seen enough.
const maxWarnings = 100

// A Warning is something odd about a report or its mail. Its texts are fit for a terminal.
type Warning struct {
	Field string // where, as in policies[0].policy.policy-string; empty for the whole
	Text  string // what
}

// String gives "field: text".
func (w Warning) String() string {
	if w.Field == "" {
		return w.Text
	}
	return w.Field + ": " + w.Text
}

// warnings gathers them while a report is read.
type warnings []Warning

func (w *warnings) add(field, format string, args ...any) {
	switch {
	case len(*w) < maxWarnings:
		*w = append(*w, Warning{field, fmt.Sprintf(format, args...)})
	case len(*w) == maxWarnings:
		*w = append(*w, Warning{"", "more warnings follow that are not kept"})
	}
}
