package smtp

// AppendXtext adds s to b as xtext: what is not printable ASCII, and "+" and
// "=", become "+" and two hexadecimal digits (RFC 3461, Section 4).
func AppendXtext(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c > '~' || c == '+' || c == '=' {
			b = append(b, '+', digits[c>>4], digits[c&15])
			continue
		}
		b = append(b, c)
	}
	return b
}
