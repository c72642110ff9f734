package interop

import "fmt"

// Confidence is how much a transcript looks like a case, above 0 and at most 1. It
// is a judgement, not a measured frequency.
type Confidence float64

// What recognisers give.
const (
	// certain: nothing else that is known looks so.
	certain Confidence = 0.95
	// likely: other causes are known, and rarer.
	likely Confidence = 0.7
	// possible: the shape fits, and so do other causes.
	possible Confidence = 0.4
)

// Word returns the confidence as "certain", "likely" or "possible".
func (c Confidence) Word() string {
	switch {
	case c >= 0.9:
		return "certain"
	case c >= 0.6:
		return "likely"
	}
	return "possible"
}

// String returns the word and the number: "certain 0.95".
func (c Confidence) String() string { return fmt.Sprintf("%s %.2f", c.Word(), float64(c)) }
