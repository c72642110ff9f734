package config

import (
	"fmt"
	"strconv"
	"strings"

	"postern/internal/certs"
)

// A setter sets a field.
type setter func(setting) *Problem

// A field is a key with its setter.
type field struct {
	key string
	set setter
}

// fields are all keys except those of certificates.
func (c *Config) fields() []field {
	l := &c.Limits
	return []field{
		{"hostname", text(&c.Hostname)},
		{"domains", texts(&c.Domains)},
		{"recipients", texts(&c.Recipients)},
		{"listen", texts(&c.Listen)},
		{"listen-tls", texts(&c.ListenTLS)},
		{"proxy-protocol.trust", networks(&c.ProxyProtocol.Trust, "write the address of each balancer, such as 192.0.2.10")},
		{"proxy-protocol.listen", texts(&c.ProxyProtocol.Listen)},
		{"proxy-protocol.listen-tls", texts(&c.ProxyProtocol.ListenTLS)},
		{"xclient.trust", networks(&c.XClient.Trust, "write the address of each front-end, such as 192.0.2.10")},
		{"xclient.listen", texts(&c.XClient.Listen)},
		{"data", path(&c.Data)},
		{"next-hop", text(&c.nextHop)},
		{"mode", c.setMode},
		{"log.format", c.setLogFormat},
		{"log.level", c.setLogLevel},
		{"log.addresses", addresses(&c.Log.Addresses)},
		{"web.listen", texts(&c.Web.Listen)},
		{"web.listen-plain", texts(&c.Web.ListenPlain)},
		{"dashboard.listen", text(&c.Dashboard.Listen)},
		{"dashboard.host", text(&c.Dashboard.Host)},
		{"dashboard.url", text(&c.Dashboard.URL)},
		{"dashboard.proxies", networks(&c.Dashboard.Proxies, "write the address of each reverse proxy, such as 192.0.2.10")},
		{"dashboard.users", c.Dashboard.setUsers},
		{"metrics.listen", text(&c.Metrics.Listen)},
		{"metrics.token-file", path(&c.Metrics.TokenFile)},
		{"self-check.at", text(&c.SelfCheck.At)},
		{"self-check.resolver", text(&c.SelfCheck.Resolver)},
		{"mta-sts.mode", c.setMTASTSMode},
		{"mta-sts.mx", texts(&c.MTASTS.MX)},
		{"mta-sts.max-age", duration(&c.MTASTS.MaxAge)},
		{"mta-sts.resolver", text(&c.MTASTS.Resolver)},
		{"acme.directory", text(&c.ACME.Directory)},
		{"acme.email", text(&c.ACME.Email)},
		{"acme.hosts", texts(&c.ACME.Hosts)},
		{"acme.new-key", yesOrNo(&c.ACME.NewKey)},
		{"acme.ca", path(&c.ACME.CA)},
		{"ledger.max-age", duration(&c.Ledger.MaxAge)},
		{"ledger.max-size", size(&c.Ledger.MaxSize)},
		{"ledger.addresses", addresses(&c.Ledger.Addresses)},
		{"reports.addresses", texts(&c.Reports.Addresses)},
		{"reports.delivery", c.setDelivery},
		{"reports.path", text(&c.Reports.Path)},
		{"reports.resolver", text(&c.Reports.Resolver)},
		{"alerts.mail", texts(&c.Alerts.Mail)},
		{"alerts.webhook", text(&c.Alerts.Webhook)},
		{"alerts.webhook-secret", path(&c.Alerts.SecretFile)},
		{"alerts.command", texts(&c.Alerts.Command)},
		{"alerts.max-per-day", count(&c.Alerts.MaxPerDay)},
		{"alerts.weekly-summary", yesOrNo(&c.Alerts.Weekly)},
		{"fleet.servers", texts(&c.Fleet.Servers)},
		{"fleet.credentials", path(&c.Fleet.Credentials)},
		{"fleet.ca", path(&c.Fleet.CA)},
		{"fleet.name", text(&c.Fleet.Name)},
		{"fleet.prefix", text(&c.Fleet.Prefix)},
		{"fleet.secret-file", path(&c.Fleet.SecretFile)},
		{"limits.message-size", size(&l.MessageSize)},
		{"limits.text-line", size(&l.TextLine)},
		{"limits.command-line", size(&l.CommandLine)},
		{"limits.recipients", count(&l.Recipients)},
		{"limits.messages", count(&l.Messages)},
		{"limits.commands", count(&l.Commands)},
		{"limits.errors", count(&l.Errors)},
		{"limits.hops", count(&l.Hops)},
		{"limits.command-timeout", duration(&l.CommandTimeout)},
		{"limits.text-timeout", duration(&l.TextTimeout)},
		{"limits.write-timeout", duration(&l.WriteTimeout)},
		{"limits.handshake-timeout", duration(&l.HandshakeTimeout)},
		{"limits.session-time", duration(&l.SessionTime)},
		{"limits.total.connections", count(&l.Total.Connections)},
		{"limits.total.handshakes", rate(&l.Total.Starts)},
		{"limits.total.bytes", sizeRate(&l.Total.Bytes)},
		{"limits.network.connections", count(&l.PerNetwork.Connections)},
		{"limits.network.handshakes", rate(&l.PerNetwork.Starts)},
		{"limits.network.bytes", sizeRate(&l.PerNetwork.Bytes)},
	}
}

// setter returns the setter of a key.
func (l *loading) setter(key string) (setter, *Problem) {
	if set := l.setters[key]; set != nil {
		return set, nil
	}
	if set := l.config.certificateSetter(key); set != nil {
		return set, nil
	}
	return nil, l.config.unknown(key)
}

// hasTable reports whether key is a table. It appends a certificate for a table of
// one; those come in order.
func (l *loading) hasTable(key string) bool {
	if c := l.config; key == element("certificate", len(c.Certificates)) {
		c.Certificates = append(c.Certificates, certs.Pair{})
		return true
	}
	return l.tables[key]
}

// certificateSetter returns the setter of "certificate[0].cert" or ".key".
func (c *Config) certificateSetter(key string) setter {
	index, name, _ := strings.Cut(strings.TrimPrefix(key, "certificate["), "].")
	i, err := strconv.Atoi(index)
	if err != nil || !strings.HasPrefix(key, "certificate[") || i < 0 || i >= len(c.Certificates) {
		return nil
	}
	switch name {
	case "cert":
		return path(&c.Certificates[i].CertFile)
	case "key":
		return path(&c.Certificates[i].KeyFile)
	}
	return nil
}

// unknown is the problem of a key that does not exist. It suggests a similar one.
func (c *Config) unknown(key string) *Problem {
	problem := &Problem{What: "unknown key", Remedy: "see deploy/postern.toml for all keys"}
	_, last, inTable := cutLast(key, ".")
	best := 3 // edits, at most
	for _, f := range append(c.fields(), field{key: "certificate"}) {
		table, name, _ := cutLast(f.key, ".")
		switch {
		case strings.HasPrefix(f.key, key+"."):
			return &Problem{What: "is a table, not a value", Remedy: fmt.Sprintf("write its keys below [%s]", key)}
		case f.key == key: // certificate, which is not a field
			return &Problem{What: "is a list of tables", Remedy: "write cert and key below [[certificate]]"}
		case name == last && table != "":
			problem.Remedy = fmt.Sprintf("move it below [%s]", table)
			best = 0
		case name == last && inTable:
			problem.Remedy = fmt.Sprintf("move %s to the top of the file, before any [table]", name)
			best = 0
		}
		for _, near := range []string{f.key, table} {
			if d := distance(key, near); near != "" && d < best {
				problem.Remedy = fmt.Sprintf("did you mean %s?", near)
				best = d
			}
		}
	}
	return problem
}

// cutLast is strings.Cut at the last sep. Without any, after is s.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// distance is the edit distance of a and b in bytes (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
