package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"postern/internal/config"
	"postern/internal/dnsrecords"
	"postern/internal/probe"
	"postern/internal/safetext"
)

// publishing is the subcommand that tells what DNS has to say.
type publishing struct {
	Domain    string `arg:"" help:"The domain. It is one that mail is taken for."`
	File      string `name:"config" placeholder:"FILE" help:"The configuration of postern serve."`
	Data      string `placeholder:"FOLDER" help:"As of postern serve."`
	Hostname  string `placeholder:"NAME" help:"As of postern serve: the name in the MX record."`
	Report    string `placeholder:"URI" help:"Where senders report TLS failures to. Default: the first of reports.addresses, else mailto:tls-reports@DOMAIN."`
	Check     bool   `xor:"do" help:"Hold what is published against it, and say what comes next."`
	NextKey   bool   `xor:"do" help:"Prepare the key that comes after that of the certificate, and print its record too."`
	SwitchKey bool   `xor:"do" help:"Put the prepared key in use."`
	Resolver  string `placeholder:"ADDR" help:"Ask this DNS server. Default: the system's."`
	JSON      bool   `help:"One JSON object; docs/json.md tells the fields."`
}

// Help is shown by kong.
func (publishing) Help() string {
	return `Prints a zone file of the records that mail for the domain wants, from the configuration
of postern serve and the certificates that it shows.

To change a key where TLSA records are published: --next-key, publish, and follow
--check, which says when to wait, when to use --switch-key, and when to remove the old
record.

Exit status: 0 all is published, 1 there is something to do, 2 the command line or the
configuration is wrong, 3 it could not be told.`
}

// Run is called by kong.
func (p publishing) Run(ui terminal) error {
	flags := config.Flags{Data: p.Data, Hostname: p.Hostname}
	if p.File == "" {
		flags.Domain = []string{p.Domain}
	}
	c, err := config.Load(p.File, flags)
	if err != nil {
		return err
	}
	domain := strings.ToLower(strings.TrimSuffix(p.Domain, "."))
	if !slices.Contains(c.Domains, domain) {
		return &usageError{fmt.Errorf("no mail is taken for %s", p.Domain), "name one of " + strings.Join(c.Domains, ", ") + ", or the configuration by --config"}
	}
	next := nextKey{c}
	if p.NextKey {
		if err := next.prepare(); err != nil {
			return cannotWrite(c, err)
		}
	}
	wants, err := p.wants(c, domain, next)
	if err != nil {
		return err
	}
	if !p.Check && !p.SwitchKey {
		return p.print(ui, c, wants)
	}
	check, err := p.look(wants, next)
	if err != nil {
		return err
	}
	if p.SwitchKey {
		return next.use(ui, check.Rollover)
	}
	return p.tell(ui, wants, check)
}

// wants gathers what is served.
func (p publishing) wants(c *config.Config, domain string, next nextKey) (dnsrecords.Wants, error) {
	w := dnsrecords.Wants{Domain: domain, Host: c.Hostname, Report: p.Report, Issuer: issuer(c.ACME)}
	if w.Report == "" {
		w.Report = "mailto:" + reportAddress(c, domain)
	}
	if c.MTASTS.Serve {
		policy := c.MTASTS.Policy()
		w.Policy = &policy
	}
	w.Keys = next.current()
	var err error
	w.Next, err = next.public()
	return w, err
}

// reportAddress is where reports about the domain are taken in, else one to be made.
func reportAddress(c *config.Config, domain string) string {
	for _, address := range c.Reports.Addresses {
		if strings.HasSuffix(strings.ToLower(address), "@"+domain) {
			return address
		}
	}
	if len(c.Reports.Addresses) > 0 {
		return c.Reports.Addresses[0]
	}
	return "tls-reports@" + domain
}

// issuer is the authority's name in CAA records (RFC 8659, Section 4.2), empty where it
// is not known: others than Let's Encrypt say theirs in their manuals.
func issuer(a config.ACME) string {
	u, err := url.Parse(a.Directory)
	if a.Ask && err == nil && strings.HasSuffix(u.Hostname(), ".letsencrypt.org") {
		return "letsencrypt.org"
	}
	return ""
}

func (p publishing) print(ui terminal, c *config.Config, wants dnsrecords.Wants) error {
	records, err := wants.Records()
	if err != nil {
		return &usageError{err: err}
	}
	if p.JSON {
		return ui.json(zoneRow(wants, records))
	}
	for _, r := range records {
		fmt.Fprintf(ui.out, "; %s\n%s\n", r.Note, r)
	}
	if len(wants.Keys) == 0 {
		fmt.Fprintln(ui.out, "; no TLSA record: there is no certificate yet, postern serve makes or gets one")
	}
	if c.ACME.Ask && c.ACME.NewKey {
		fmt.Fprintln(ui.out, "; new-key below [acme] is set: each renewal changes the key, and the TLSA record with it")
	}
	if wants.Policy == nil {
		fmt.Fprintln(ui.out, "; no MTA-STS: [mta-sts] is not configured")
	}
	return nil
}

// lookupTime bounds all questions of a check together.
const lookupTime = 30 * time.Second

// look looks up what is published, and notes when the next key's record was first seen.
func (p publishing) look(wants dnsrecords.Wants, next nextKey) (dnsrecords.Check, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	lookup := func(ctx context.Context, name string, kind uint16) ([]dns.RR, bool, error) {
		return probe.Lookup(ctx, p.Resolver, name, kind)
	}
	now := time.Now()
	check, err := wants.Check(ctx, lookup, next.seen(), now)
	if err != nil {
		return check, &usageError{err: err}
	}
	if err := next.note(check.Rollover, now); err != nil {
		return check, cannotWrite(next.Config, err)
	}
	return check, nil
}

func (p publishing) tell(ui terminal, wants dnsrecords.Wants, check dnsrecords.Check) error {
	if p.JSON {
		if err := ui.json(checkRow(wants, check)); err != nil {
			return err
		}
	} else {
		ui.zone(check)
	}
	switch check.State() {
	case dnsrecords.Differs:
		return exitStatus(exitFailed)
	case dnsrecords.Unclear:
		return exitStatus(exitUnclear)
	}
	return nil
}

// zone tells how the wanted records stand, a line each, and what comes next.
func (t terminal) zone(c dnsrecords.Check) {
	for _, r := range c.Results {
		fmt.Fprintf(t.out, "%-8s  %s %s %s", r.State, safetext.Printable(r.Name), r.Type, safetext.Printable(r.Data))
		if r.Why != "" {
			fmt.Fprintf(t.out, ": %s", safetext.Printable(r.Why))
		}
		fmt.Fprintln(t.out)
	}
	fmt.Fprintf(t.out, "next: %s\n", advice(c.Rollover))
}

// advice is the next step in the change of a key.
func advice(r dnsrecords.Rollover) string {
	switch r.Step {
	case dnsrecords.Publish:
		return "publish the TLSA records that are missing, and leave the others as they are"
	case dnsrecords.Wait:
		return fmt.Sprintf("wait until %s, when nobody holds the old TLSA records any more", r.Until.UTC().Format(time.DateTime+" MST"))
	case dnsrecords.Switch:
		return "postern dns --switch-key puts the next key in use"
	case dnsrecords.Remove:
		return "remove the TLSA records that are of no key here"
	case dnsrecords.Undecided:
		return "ask again: it could not be told which TLSA records are published"
	}
	return "nothing is to be done about keys"
}

// zoneJSON is what postern dns --json prints.
type zoneJSON struct {
	Domain  string           `json:"domain"`
	Host    string           `json:"host"`
	Records []recordJSON     `json:"records"`
	State   dnsrecords.State `json:"state,omitempty"`
	Step    dnsrecords.Step  `json:"step,omitempty"`
	Until   *time.Time       `json:"until,omitempty"`
}

type recordJSON struct {
	Name  string           `json:"name"`
	Type  string           `json:"type"`
	Data  string           `json:"data"`
	Note  string           `json:"note,omitempty"`
	State dnsrecords.State `json:"state,omitempty"`
	Why   string           `json:"why,omitempty"`
}

// zoneRow is what is wanted.
func zoneRow(w dnsrecords.Wants, records []dnsrecords.Record) zoneJSON {
	row := zoneJSON{Domain: w.Domain, Host: w.Host}
	for _, r := range records {
		row.Records = append(row.Records, recordRow(r))
	}
	return row
}

func recordRow(r dnsrecords.Record) recordJSON {
	return recordJSON{Name: r.Name, Type: r.Type, Data: r.Data, Note: r.Note}
}

// checkRow is what is wanted, held against what is published.
func checkRow(w dnsrecords.Wants, c dnsrecords.Check) zoneJSON {
	row := zoneJSON{Domain: w.Domain, Host: w.Host, State: c.State(), Step: c.Rollover.Step}
	if c.Rollover.Step == dnsrecords.Wait {
		until := c.Rollover.Until.UTC()
		row.Until = &until
	}
	for _, r := range c.Results {
		record := recordRow(r.Record)
		record.State, record.Why = r.State, r.Why
		row.Records = append(row.Records, record)
	}
	return row
}
