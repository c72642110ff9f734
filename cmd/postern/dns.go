package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/dnsrecords"
	"postern/internal/jsonout"
	"postern/internal/probe"
	"postern/internal/safetext"
	"postern/internal/server"
	"postern/internal/smtp"
	"postern/internal/terminal"
)

// dnsCmd prints the DNS records to publish, checks them, and rolls keys over.
type dnsCmd struct {
	Domain    string `arg:"" help:"Domain that receives mail."`
	File      string `name:"config" placeholder:"FILE" help:"Read the configuration of postern serve from this TOML file. Default: ${config}, if there is one."`
	Data      string `placeholder:"FOLDER" help:"Data folder, as for postern serve."`
	Hostname  string `placeholder:"NAME" help:"Host name in the MX record, as for postern serve."`
	Report    string `placeholder:"URI" help:"Where senders send TLS reports. Default: the first of reports.addresses, else mailto:tls-reports@DOMAIN."`
	Check     bool   `xor:"do" help:"Compare published records with the required ones. Print the next step of a key rollover."`
	NextKey   bool   `xor:"do" help:"Make the key of the next certificate. Print its TLSA record too."`
	SwitchKey bool   `xor:"do" help:"Start using the next key."`
	Resolver  string `placeholder:"ADDR" help:"Ask this DNS server. Default: the system's."`
	JSON      bool   `help:"Print one JSON object; see docs/json.md."`
}

// Help is called by kong.
func (dnsCmd) Help() string {
	return `Prints the DNS records required to receive mail for a domain, as a zone file. They follow
from the configuration of postern serve and the certificates that it presents.

To replace a key whose TLSA record is published, run --next-key and publish the new
record. Then run --check: it says when to wait, when to run --switch-key, and when to
remove the old record.

Examples:

  postern dns example.org
  postern dns example.org --check

Exit status:

  0  success; with --check: all published, no key rollover pending
  1  there is something to do
  2  wrong command line or configuration
  3  inconclusive: DNS did not answer`
}

// Run is called by kong.
func (d dnsCmd) Run(ui terminal.UI) error {
	flags := config.Flags{Data: d.Data, Hostname: d.Hostname}
	file := configFile(d.File)
	if file == "" {
		flags.Domain = []string{d.Domain}
	}
	c, err := config.Load(file, flags, new(certs.Files))
	if err != nil {
		return err
	}
	if !strings.Contains(c.Hostname, ".") {
		return &terminal.UsageError{Err: fmt.Errorf("%q is a bare name, which cannot be in an MX record", c.Hostname), Hint: "set hostname in the configuration, or --hostname, to a name such as mx.example.org"}
	}
	domain := smtp.FoldDomain(d.Domain)
	if !slices.Contains(c.DomainNames(), domain) {
		return &terminal.UsageError{Err: fmt.Errorf("%s is not a configured domain", d.Domain), Hint: "use one of " + config.Summary(c.Domains) + ", or name another configuration with --config"}
	}
	if d.NextKey {
		next := server.NextKey(c)
		created, err := next.Prepare()
		if err != nil {
			return cannotWrite(c, err)
		}
		if created {
			ui.Note("created the next key, " + next.File)
		} else {
			ui.Note("the next key is there already, " + next.File)
		}
	}
	required, next, err := server.DNSRecords(c, domain)
	if err != nil {
		return err
	}
	required.Report = cmp.Or(d.Report, required.Report)
	if !d.Check && !d.SwitchKey {
		return d.print(ui, c, required)
	}
	check, err := d.lookUp(ui, c, required, next)
	if err != nil {
		return err
	}
	if d.SwitchKey {
		return switchKey(ui, c, next, check.Rollover)
	}
	return d.compare(ui, required, check)
}

func (d dnsCmd) print(ui terminal.UI, c *config.Config, required dnsrecords.Config) error {
	records, err := required.Records()
	if err != nil {
		return &terminal.UsageError{Err: err}
	}
	if d.JSON {
		out := jsonout.Zone{Domain: required.Domain, Host: required.Host}
		for _, r := range records {
			out.Records = append(out.Records, dnsrecords.Result{Record: r})
		}
		return ui.JSON(out)
	}
	for _, r := range records {
		fmt.Fprintf(ui.Out, "; %s\n%s\n", r.Note, r)
	}
	if len(required.Keys) == 0 {
		fmt.Fprintln(ui.Out, "; no TLSA record: there is no certificate yet; postern serve makes or obtains one")
	}
	if c.ACME.Enabled && c.ACME.NewKey {
		fmt.Fprintln(ui.Out, "; acme.new-key is true: each renewal changes the key, and so the TLSA record")
	}
	if required.Policy == nil {
		fmt.Fprintln(ui.Out, "; no MTA-STS records: [mta-sts] is not configured")
	}
	return nil
}

// lookupTime bounds all queries of a check together.
const lookupTime = 30 * time.Second

// lookUp compares published records with the required ones, and stores when the
// next key's record was first seen.
func (d dnsCmd) lookUp(ui terminal.UI, c *config.Config, required dnsrecords.Config, next dnsrecords.NextKey) (dnsrecords.Comparison, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	lookup := func(ctx context.Context, name string, kind uint16) ([]dns.RR, bool, error) {
		return probe.Lookup(ctx, d.Resolver, name, kind)
	}
	now := time.Now()
	check, err := required.Compare(ctx, lookup, next.FirstSeen(), now)
	if err != nil {
		return check, &terminal.UsageError{Err: err}
	}
	seen, err := next.Note(check.Rollover, now)
	if err != nil {
		return check, cannotWrite(c, err)
	}
	if seen != "" {
		ui.Note("noted when the record of the next key was first seen, in " + seen)
	}
	return check, nil
}

// compare prints how the published records compare, and returns the exit status.
func (d dnsCmd) compare(ui terminal.UI, required dnsrecords.Config, check dnsrecords.Comparison) error {
	if d.JSON {
		if err := ui.JSON(jsonout.NewZone(required, check)); err != nil {
			return err
		}
	} else {
		for _, r := range check.Results {
			fmt.Fprintf(ui.Out, "%-8s  %s %s %s", r.State, safetext.Printable(r.Name), r.Type, safetext.Printable(r.Data))
			if r.Why != "" {
				fmt.Fprintf(ui.Out, ": %s", safetext.Printable(r.Why))
			}
			fmt.Fprintln(ui.Out)
		}
		fmt.Fprintf(ui.Out, "next: %s\n", nextStep(check.Rollover))
	}
	switch check.State() {
	case dnsrecords.Differs:
		return terminal.ExitFailed
	case dnsrecords.Unclear:
		return terminal.ExitUnclear
	}
	return nil
}

// nextStep is the next step of a key rollover, in words.
func nextStep(r dnsrecords.Rollover) string {
	switch r.Step {
	case dnsrecords.Publish:
		return "publish the missing TLSA records; leave the others as they are"
	case dnsrecords.Wait:
		return fmt.Sprintf("wait until %s, when no cache holds the old TLSA records any more", r.Until.UTC().Format(time.DateTime+" MST"))
	case dnsrecords.Switch:
		return "run postern dns --switch-key to start using the next key"
	case dnsrecords.Remove:
		return "remove the TLSA records of keys that are not in use"
	case dnsrecords.Undecided:
		return "try again: the published TLSA records could not be looked up"
	}
	return "no key rollover is pending"
}

// switchKey starts using the next key once no sender's cache holds an older set of
// records. Its file stays until another key is prepared, so that its record is still
// known while a certificate for it is obtained.
func switchKey(ui terminal.UI, c *config.Config, next dnsrecords.NextKey, r dnsrecords.Rollover) error {
	key, err := next.Public()
	switch {
	case err != nil:
		return err
	case key == nil:
		return &terminal.UsageError{Err: errors.New("there is no next key"), Hint: "make one with postern dns --next-key"}
	case next.InUse(key):
		return &terminal.UsageError{Err: errors.New("the next key is already in use"), Hint: "make another one with postern dns --next-key"}
	case r.Step != dnsrecords.Switch:
		return &terminal.HintedError{Err: errors.New("not switching keys: senders that check DANE would reject the next key"), Hint: nextStep(r)}
	case c.ACME.Enabled || len(c.Certificates) > 0:
		return &terminal.UsageError{
			Err:  fmt.Errorf("the certificate of %s is not self-signed", c.Hostname),
			Hint: "get a certificate for the key in " + next.File + " and name both below [[certificate]] in place of the old ones",
		}
	}
	pair := certs.SelfSignedPairs(c.TLSFolder())[0]
	if err := certs.CopyKey(pair.KeyFile, next.File); err != nil {
		return err
	}
	if _, err := certs.SelfSigned(c.TLSFolder(), c.Hostname, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	ui.Note(fmt.Sprintf("copied the next key to %s and created a self-signed certificate for it, %s; postern serve loads them within seconds", pair.KeyFile, pair.CertFile))
	return nil
}
