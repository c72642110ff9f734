package tlsrpt

import "fmt"

// These bound what a report costs in memory, whatever its bytes. A report nests 6 deep; one
// failure has up to 8 values, so that there is room for 25,000 failures.
const (
	maxDepth  = 32
	maxValues = 200_000
)

// checkShape counts before anything is built. It needs no valid JSON: what is none is
// refused afterwards.
func checkShape(data []byte) error {
	depth, values := 0, 1
	inString, escaped := false, false
	for _, b := range data {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = b == '\\', b != '"'
		case b == '"':
			inString = true
		case b == '{', b == '[':
			depth++
			values++ // what opens may hold a first value without a comma
		case b == '}', b == ']':
			depth--
		case b == ',':
			values++
		}
		if depth > maxDepth {
			return fmt.Errorf("JSON nested more than %d deep: %w", maxDepth, ErrTooLarge)
		}
		if values > maxValues {
			return fmt.Errorf("JSON of more than %d values: %w", maxValues, ErrTooLarge)
		}
	}
	return nil
}
