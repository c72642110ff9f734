package smtp

import "strconv"

// Append adds the MAIL command to b, with its CRLF and with the parameters
// that m has set. The caller leaves out those that the server does not offer.
func (m Mail) Append(b []byte) []byte {
	b = append(b, "MAIL FROM:<"...)
	b = append(b, m.From...)
	b = append(b, '>')
	if m.Size > 0 {
		b = append(b, " SIZE="...)
		b = strconv.AppendInt(b, m.Size, 10)
	}
	b = appendFlag(b, m.EightBit, "BODY=8BITMIME")
	b = appendFlag(b, m.UTF8, "SMTPUTF8")
	b = appendFlag(b, m.RequireTLS, "REQUIRETLS")
	b = appendParam(b, "RET", m.Return)
	b = appendParam(b, "ENVID", m.EnvelopeID)
	return append(b, '\r', '\n')
}

// Append adds the RCPT command to b, with its CRLF and with the parameters
// that r has set. The caller leaves out those that the server does not offer.
func (r Recipient) Append(b []byte) []byte {
	b = append(b, "RCPT TO:<"...)
	b = append(b, r.To...)
	b = append(b, '>')
	b = appendParam(b, "NOTIFY", r.Notify)
	b = appendParam(b, "ORCPT", r.Original)
	return append(b, '\r', '\n')
}

func appendFlag(b []byte, set bool, word string) []byte {
	if !set {
		return b
	}
	b = append(b, ' ')
	return append(b, word...)
}

func appendParam(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, key...)
	b = append(b, '=')
	return append(b, value...)
}
