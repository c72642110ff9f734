package config

import (
	"fmt"
	"regexp"
)

// Reports says which TLS reports are taken in.
type Reports struct {
	Addresses []string // those that they are mailed to; nil: none
	Delivery  string   // Copy or Only
	Path      string   // on the web listener, where they are POSTed; empty: nowhere
	Resolver  string   // the DNS server that has the keys of signatures; empty: the system's
}

// What [Reports].Delivery can be: reports go to the next hop too, or are kept from it.
const (
	Copy = "copy"
	Only = "only"
)

func (c *Config) setDelivery(s setting) *Problem {
	if s.value.text == nil || *s.value.text != Copy && *s.value.text != Only {
		return expected("a delivery", s.value, "use copy, or only to keep reports from the next hop")
	}
	c.Reports.Delivery = *s.value.text
	return nil
}

func (l *loading) checkReports() {
	r := l.config.Reports
	l.checkAddresses("reports.addresses", r.Addresses)
	if r.Path != "" && len(l.config.Web.Listen) == 0 {
		l.add("reports.path", "is served over HTTPS, and web.listen is empty", `name an address such as "0.0.0.0:443" in listen below [web]`)
	}
	if r.Path != "" && !pathForm.MatchString(r.Path) {
		l.add("reports.path", fmt.Sprintf("%q is no path", r.Path), "write one such as /tls-reports")
	}
	l.checkResolver("reports.resolver", r.Resolver)
}

var pathForm = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
