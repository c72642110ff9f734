package smtp

import (
	"strconv"
	"strings"
)

// Extensions are the extensions of a server that concern the envelope.
type Extensions struct {
	EightBitMIME bool  // RFC 6152
	SMTPUTF8     bool  // RFC 6531
	DSN          bool  // RFC 3461
	RequireTLS   bool  // RFC 8689
	Size         int64 // RFC 1870: the largest message in bytes; 0 means that no limit is known
}

// Capabilities are the keywords in a server's reply to EHLO or LHLO, in upper case,
// with their parameters (RFC 5321, Section 4.1.1.1).
type Capabilities map[string]string

// ParseCapabilities parses a positive reply to EHLO or LHLO. It skips the first
// line, the server's name. Of a keyword that occurs twice, the first counts.
func ParseCapabilities(reply Reply) Capabilities {
	capabilities := make(Capabilities)
	for _, line := range reply.Lines[min(1, len(reply.Lines)):] {
		keyword, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		keyword = strings.ToUpper(keyword)
		if _, twice := capabilities[keyword]; keyword != "" && !twice {
			capabilities[keyword] = params
		}
	}
	return capabilities
}

// Has reports whether the server offers keyword, given in upper case.
func (c Capabilities) Has(keyword string) bool {
	_, ok := c[keyword]
	return ok
}

// Extensions returns the capabilities that concern the envelope.
func (c Capabilities) Extensions() Extensions {
	size, err := strconv.ParseInt(c["SIZE"], 10, 64)
	if err != nil || size < 0 {
		size = 0
	}
	return Extensions{
		EightBitMIME: c.Has("8BITMIME"),
		SMTPUTF8:     c.Has("SMTPUTF8"),
		DSN:          c.Has("DSN"),
		RequireTLS:   c.Has("REQUIRETLS"),
		Size:         size,
	}
}
