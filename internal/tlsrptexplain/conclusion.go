package tlsrptexplain

import "postern/interop"

// A Conclusion is the likeliest cause, and the one next step.
type Conclusion struct {
	Cause      string             // in sentences
	Confidence interop.Confidence // in the cause; 0: it is not known
	Case       *interop.Case      // the known case that it is, or nil
	Next       string
	Sources    []string // URLs
}

// How sure a conclusion is, as package interop means it.
const (
	certain  interop.Confidence = 0.95
	likely   interop.Confidence = 0.7
	possible interop.Confidence = 0.4
)
