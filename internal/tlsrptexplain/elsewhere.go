package tlsrptexplain

import "fmt"

// othersDomain: the report is about a domain that is not ours.
func othersDomain(q Question, e *Explanation) (Conclusion, bool) {
	domain := e.worst().Policy.Domain
	return Conclusion{
		Cause:      fmt.Sprintf("The report is about %s, and this server takes no mail for it.", named(domain)),
		Confidence: certain,
		Next: fmt.Sprintf("If the domain is yours, add it to domains in the configuration; if not, tell its owner that its TLS reporting record, "+
			"at _smtp._tls.%s, names your address.", named(domain)),
	}, domain != "" && q.Domains != nil && !q.takes(domain)
}

// othersHost: all that failed went to a host that is not ours.
func othersHost(q Question, e *Explanation) (Conclusion, bool) {
	host, domain := named(e.worst().foreignHost(q)), named(e.worst().Policy.Domain)
	c := Conclusion{Confidence: certain}
	switch {
	case e.Records.Unasked != "":
		c.Cause = fmt.Sprintf("The sessions went to %s, which is not this server (%s).", host, named(q.Hostname))
		c.Next = fmt.Sprintf("See whether %s is an MX host of %s: if it is yours, look there; if not, remove the record.", host, domain)
	case e.Records.serves(e.worst().foreignHost(q)):
		c.Cause = fmt.Sprintf("The sessions went to %s, another MX host of %s. This server and its ledger have no part in them.", host, domain)
		c.Next = fmt.Sprintf("Look at that host: postern probe %s.", host)
	default:
		c.Confidence = likely
		c.Cause = fmt.Sprintf("The sessions went to %s, which is not this server and is no MX host of %s now: the sender used an MX record that has gone, "+
			"or was led astray.", host, domain)
		c.Next = fmt.Sprintf("Ask each name server of %s for its MX records: one may still name that host.", domain)
	}
	return c, e.worst().foreignHost(q) != ""
}

// foreignHost is the host that sessions failed at, if none failed at ours.
func (r Result) foreignHost(q Question) (host string) {
	if q.Hostname == "" {
		return ""
	}
	for _, f := range r.failures {
		if f.ReceivingMX == "" || sameName(f.ReceivingMX, q.Hostname) {
			return ""
		}
		host = f.ReceivingMX
	}
	return host
}
