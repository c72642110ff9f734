// Package tlsrpt reads and writes TLS reports (RFC 8460): the reports in which
// senders of mail say how many TLS sessions with a domain's MX hosts succeeded,
// how many failed, and why.
//
//	mail, err := tlsrpt.ParseMail(message) // or Parse, for the JSON alone
//	if err != nil {
//		...
//	}
//	for _, p := range mail.Report.Policies {
//		fmt.Println(p.Policy.Domain, p.Successful, p.Failed)
//	}
//
// It also reads and writes the DNS record that asks for such reports: see [Record].
//
// # Compatibility
//
// Reports differ from sender to sender, so the parser is lenient: a missing, malformed
// or unknown field does not make it reject a report. Each such oddity adds a [Warning],
// and values that do not fit into a [Report] are kept in its Extra fields. Only what is
// not a report at all is rejected, with [ErrNotReport].
//
// # Security
//
// A report contains whatever its sender wrote. The package does not verify DKIM
// signatures, which RFC 8460, Section 3 requires of reports sent by mail. Strings are
// kept as they were received, control characters included, with a warning: escape them
// before you show them.
//
// # Limits
//
// A decompressed report has at most [MaxReportSize] bytes, a message [MaxMailSize].
// A report or message that is larger, or that has more values, parts or levels than a
// genuine one, is rejected with [ErrTooLarge].
//
// # Concurrency
//
// All functions are safe for concurrent use.
package tlsrpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postern/internal/safetext"
)

var (
	// ErrNotReport is wrapped by the error for input that is not a TLS report.
	ErrNotReport = errors.New("not a TLS report")

	// ErrTooLarge is wrapped by the error for input that exceeds a limit of the package.
	ErrTooLarge = errors.New("too large")
)

// A Report is a TLS report: what one sender says about its sessions within a span of
// time, usually a day (RFC 8460, Section 4.4). Fields that are missing are zero.
type Report struct {
	Organization string    // organization-name: who sends the report
	Start, End   time.Time // date-range, in UTC
	Contact      string    // contact-info
	ID           string    // report-id
	Policies     []PolicyResult
	Extra        Extra

	// Warnings are the oddities that Parse found. They are not written.
	Warnings []Warning
}

// A PolicyResult counts the sessions that were subject to one policy.
type PolicyResult struct {
	Policy     Policy
	Successful int64 // total-successful-session-count
	Failed     int64 // total-failure-session-count; see FailedSessions
	Failures   []Failure
	Extra      Extra // of the result and of its summary
}

// FailedSessions returns the number of failed sessions: Failed or, if that is 0, the sum of
// Failures. If both are given and differ, Failed counts: a session can have several failures
// (RFC 8460, Section 4.4 counts those that match a result type).
func (p PolicyResult) FailedSessions() int64 {
	if p.Failed > 0 {
		return p.Failed
	}
	return p.DetailedSessions()
}

// DetailedSessions returns the sum of Failures.
func (p PolicyResult) DetailedSessions() (n int64) {
	for _, f := range p.Failures {
		n += f.Sessions
	}
	return n
}

// A Policy is the policy that the sender applied to the domain.
type Policy struct {
	Type    PolicyType
	Strings []string // policy-string: the lines of an MTA-STS policy, or TLSA records
	Domain  string   // policy-domain
	MXHosts []string // mx-host: the mx patterns of an MTA-STS policy
	Extra   Extra
}

// A Failure counts sessions that failed in the same way.
type Failure struct {
	Result         ResultType
	SendingMTA     netip.Addr // sending-mta-ip
	ReceivingMX    string     // receiving-mx-hostname
	ReceivingHELO  string     // receiving-mx-helo
	ReceivingIP    netip.Addr
	Sessions       int64  // failed-session-count
	AdditionalInfo string // additional-information
	ReasonCode     string // failure-reason-code: a code, or free text
	Extra          Extra
}

// Extra holds the JSON fields that have no field of their own: those that RFC 8460 does
// not define, and those whose value has the wrong type. It is nil if there are none.
type Extra map[string]json.RawMessage

// A PolicyType is the type of a policy. Unknown types are kept as they are.
type PolicyType string

// The policy types of RFC 8460, Section 4.4.
const (
	PolicyTLSA PolicyType = "tlsa"            // DANE
	PolicySTS  PolicyType = "sts"             // MTA-STS
	NoPolicy   PolicyType = "no-policy-found" // neither
)

// known reports whether RFC 8460 defines the type.
func (t PolicyType) known() bool { return t == PolicyTLSA || t == PolicySTS || t == NoPolicy }

// A ResultType is the reason why sessions failed. Unknown types are kept as they are.
type ResultType string

// The result types of RFC 8460, Section 4.3.
const (
	STARTTLSNotSupported    ResultType = "starttls-not-supported"
	CertificateHostMismatch ResultType = "certificate-host-mismatch"
	CertificateExpired      ResultType = "certificate-expired"
	CertificateNotTrusted   ResultType = "certificate-not-trusted"
	ValidationFailure       ResultType = "validation-failure" // any other failure, often an unfinished handshake
	TLSAInvalid             ResultType = "tlsa-invalid"
	DNSSECInvalid           ResultType = "dnssec-invalid"
	DANERequired            ResultType = "dane-required"
	STSPolicyFetchError     ResultType = "sts-policy-fetch-error"
	STSPolicyInvalid        ResultType = "sts-policy-invalid"
	STSWebPKIInvalid        ResultType = "sts-webpki-invalid"
)

// known reports whether RFC 8460 defines the type.
func (t ResultType) known() bool {
	switch t {
	case STARTTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted, ValidationFailure,
		TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid:
		return true
	}
	return false
}

// A Warning describes an oddity of a report or of the message that contains it. Strings
// from the report are quoted in it, so it is safe to print.
type Warning struct {
	Field string // where, such as policies[0].policy.policy-string; empty for the whole input
	Text  string
}

// String returns the warning as "field: text".
func (w Warning) String() string {
	if w.Field == "" {
		return w.Text
	}
	return w.Field + ": " + w.Text
}

// maxWarnings bounds the warnings of one report.
const maxWarnings = 100

// quoted returns a text of the report in quotes, shortened in the middle.
func quoted(s string) string { return safetext.Quote(s, 80) }

// warnings collects the oddities found while a report is parsed.
type warnings []Warning

func (w *warnings) add(field, format string, args ...any) {
	switch {
	case len(*w) < maxWarnings:
		*w = append(*w, Warning{field, fmt.Sprintf(format, args...)})
	case len(*w) == maxWarnings:
		*w = append(*w, Warning{"", "further warnings were dropped"})
	}
}
