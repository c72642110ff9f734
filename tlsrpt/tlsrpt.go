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

import "errors"

var (
	// ErrNotReport is in the chain of errors about what can be read but is no TLS report.
	ErrNotReport = errors.New("not a TLS report")

	// ErrTooLarge is in the chain of errors about what has more than is read.
	ErrTooLarge = errors.New("too large")
)
