package handshake

import (
	"fmt"
	"strconv"
)

// escape writes what a stranger sent as it would stand in a Go string: letters outside
// ASCII, control characters and bytes that are no UTF-8 as \u and \x. So it can neither
// steer a terminal nor hide among other letters, and unescape gives it back to the byte.
func escape(s string) string {
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}

func unescape(s string) (string, error) {
	raw, err := strconv.Unquote(`"` + s + `"`)
	if err != nil {
		return "", fmt.Errorf(`%s is not escaped as in a Go string: write \\ for a backslash and \x00 for a byte`, shown(s))
	}
	return raw, nil
}

// shown quotes s for an error, the start of it if it is long.
func shown(s string) string {
	const enough = 60
	if len(s) > enough {
		return strconv.QuoteToASCII(s[:enough]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
