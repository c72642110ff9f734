package probe

import "fmt"

// Severity is how much a finding matters, in rising order.
type Severity uint8

// The severities.
const (
	// Fine: as it should be.
	Fine Severity = iota
	// Notice: worth knowing, nothing to mend today.
	Notice
	// Unclear: it could not be told, since something did not answer.
	Unclear
	// Warning: some senders fail, or soon will.
	Warning
	// Critical: senders that bring much mail fail.
	Critical
)

var severityNames = [...]string{"fine", "notice", "unclear", "warning", "critical"}

// String returns the severity in one word, "critical".
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("severity %d", uint8(s))
}
