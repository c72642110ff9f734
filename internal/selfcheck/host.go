package selfcheck

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"strconv"
	"time"

	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/organization"
	"postern/internal/persona"
	"postern/internal/probe"
)

// smtpPort is where senders deliver.
const smtpPort = 25

// hostOnce runs the test clients against a host, once in a check.
func (c *check) hostOnce(ctx context.Context, host string) {
	if c.seen[host] || len(c.seen) >= maxHosts {
		return
	}
	port := cmp.Or(c.prober.Port, smtpPort)
	c.host(ctx, host, net.JoinHostPort(host, strconv.Itoa(int(port))))
}

// host runs the test clients against a target, and stores the result under name.
func (c *check) host(ctx context.Context, name, target string) {
	c.seen[name] = true
	began := time.Now()
	prober := c.prober
	prober.Personas, prober.Resume = persona.All(), true
	prober.Timeout = cmp.Or(prober.Timeout, hostTime)
	report, err := prober.Probe(ctx, target)
	if ctx.Err() != nil {
		return // the server stops, or time is up: this says nothing about the host
	}
	result := jsonout.NewProbed(name, report, err)
	severity := probe.Unclear
	if err == nil {
		severity = report.Severity()
	}
	c.store(ledger.Check{Kind: ledger.HostCheck, Name: name, At: began}, severity, withoutTranscripts(result), result)
}

// store stores a result with its summary.
func (c *check) store(k ledger.Check, severity probe.Severity, summary, content any) {
	c.worst = max(c.worst, severity)
	k.Severity = int(severity)
	var err error
	if k.Summary, err = json.Marshal(summary); err == nil {
		k.Content, err = json.Marshal(content)
	}
	if err != nil {
		panic(err) // texts and numbers can be encoded
	}
	c.ledger.AddCheck(k)
	c.found(k)
}

// withoutTranscripts returns what a matrix shows of a result: outcomes and titles.
func withoutTranscripts(p jsonout.Probed) jsonout.Probed {
	brief := func(findings []jsonout.Finding) (kept []jsonout.Finding) {
		for _, f := range findings {
			kept = append(kept, jsonout.Finding{ID: f.ID, Severity: f.Severity, Title: f.Title, Case: f.Case})
		}
		return kept
	}
	out := p
	out.Findings, out.Hosts = brief(p.Findings), nil
	for _, host := range p.Hosts {
		addresses := host.Addresses
		host.Addresses = nil
		for _, address := range addresses {
			runs := address.Senders
			address.Findings, address.Clues, address.Senders = brief(address.Findings), nil, nil
			for _, run := range runs {
				run.Handshake, run.Does = nil, ""
				address.Senders = append(address.Senders, run)
			}
			host.Addresses = append(host.Addresses, address)
		}
		out.Hosts = append(out.Hosts, host)
	}
	return out
}

// ours reports whether the test clients may run against an MX host: it has this server's name,
// its organization's domain, or recognises the probe key. Others belong to somebody whose
// monitoring they would alarm.
func (c *check) ours(host *probe.Host) bool {
	if host.Name == c.Hostname {
		return true
	}
	if own := organization.Of("", c.Hostname).Domain; own != "" && organization.Of("", host.Name).Domain == own {
		return true
	}
	for _, address := range host.Addresses {
		for _, f := range address.Findings {
			if f.ID == "recognised" && f.Severity == probe.OK {
				return true
			}
		}
	}
	return false
}
