package config

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/certs"
)

// A setter puts a value into its field.
type setter func(setting) *Problem

// A field is a key and how to set it.
type field struct {
	key string
	set setter
}

// fields are all keys but those of certificates.
func (c *Config) fields() []field {
	l := &c.Limits
	return []field{
		{"hostname", text(&c.Hostname)},
		{"domains", texts(&c.Domains)},
		{"recipients", texts(&c.Recipients)},
		{"listen", texts(&c.Listen)},
		{"listen-tls", texts(&c.ListenTLS)},
		{"data", path(&c.Data)},
		{"next-hop", text(&c.nextHop)},
		{"ticket-policy", c.setTicketPolicy},
		{"log.format", c.setLogFormat},
		{"log.level", c.setLogLevel},
		{"web.listen", texts(&c.Web.Listen)},
		{"web.listen-plain", texts(&c.Web.ListenPlain)},
		{"mta-sts.mode", c.setMode},
		{"mta-sts.mx", texts(&c.MTASTS.MX)},
		{"mta-sts.max-age", period(&c.MTASTS.MaxAge)},
		{"mta-sts.resolver", text(&c.MTASTS.Resolver)},
		{"acme.directory", text(&c.ACME.Directory)},
		{"acme.email", text(&c.ACME.Email)},
		{"acme.hosts", texts(&c.ACME.Hosts)},
		{"acme.new-key", yesOrNo(&c.ACME.NewKey)},
		{"acme.ca", path(&c.ACME.CA)},
		{"ledger.max-age", period(&c.Ledger.MaxAge)},
		{"ledger.max-size", size(&c.Ledger.MaxSize)},
		{"reports.addresses", texts(&c.Reports.Addresses)},
		{"reports.delivery", c.setDelivery},
		{"reports.path", text(&c.Reports.Path)},
		{"reports.resolver", text(&c.Reports.Resolver)},
		{"limits.message-size", size(&l.MessageSize)},
		{"limits.text-line", size(&l.TextLine)},
		{"limits.command-line", size(&l.CommandLine)},
		{"limits.recipients", count(&l.Recipients)},
		{"limits.messages", count(&l.Messages)},
		{"limits.commands", count(&l.Commands)},
		{"limits.errors", count(&l.Errors)},
		{"limits.hops", count(&l.Hops)},
		{"limits.command-timeout", period(&l.CommandTimeout)},
		{"limits.text-timeout", period(&l.TextTimeout)},
		{"limits.write-timeout", period(&l.WriteTimeout)},
		{"limits.handshake-timeout", period(&l.HandshakeTimeout)},
		{"limits.session-time", period(&l.SessionTime)},
		{"limits.total.connections", count(&l.Total.Connections)},
		{"limits.total.handshakes", rate(&l.Total.Starts)},
		{"limits.total.bytes", sizeRate(&l.Total.Bytes)},
		{"limits.network.connections", count(&l.PerNetwork.Connections)},
		{"limits.network.handshakes", rate(&l.PerNetwork.Starts)},
		{"limits.network.bytes", sizeRate(&l.PerNetwork.Bytes)},
	}
}

// setter finds the one for a key.
func (c *Config) setter(key string) (setter, *Problem) {
	for _, f := range c.fields() {
		if f.key == key {
			return f.set, nil
		}
	}
	if set := c.certificateSetter(key); set != nil {
		return set, nil
	}
	return nil, c.unknown(key)
}

// hasTable reports whether key is that of a table. It makes room for a
// certificate, whose tables come in order.
func (c *Config) hasTable(key string) bool {
	if key == fmt.Sprintf("certificate[%d]", len(c.Certificates)) {
		c.Certificates = append(c.Certificates, certs.Pair{})
		return true
	}
	return slices.ContainsFunc(c.fields(), func(f field) bool { return strings.HasPrefix(f.key, key+".") })
}

// certificateSetter finds the setter for "certificate[0].cert" and ".key".
func (c *Config) certificateSetter(key string) setter {
	for i := range c.Certificates {
		switch key {
		case fmt.Sprintf("certificate[%d].cert", i):
			return path(&c.Certificates[i].CertFile)
		case fmt.Sprintf("certificate[%d].key", i):
			return path(&c.Certificates[i].KeyFile)
		}
	}
	return nil
}
