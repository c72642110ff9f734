package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"postern/internal/config"
	"postern/internal/logkey"
	"postern/internal/nexthop/relay"
	"postern/internal/server"
	"postern/internal/terminal"
	"postern/mtasts"
)

// printBanner prints a summary of a server that has started, and what to try next. With
// a JSON log, it logs a line instead.
func printBanner(ui terminal.UI, c *config.Config, log *slog.Logger, listeners []server.Listener, srv *server.Server) {
	var addresses []string
	for _, ln := range listeners {
		addresses = append(addresses, ln.String())
	}
	if c.Log.Format == "json" {
		domains, more := config.First(c.Domains)
		if more > 0 {
			domains = append(slices.Clone(domains), fmt.Sprintf("and %d more", more))
		}
		log.Info("accepting mail", logkey.Listen, addresses, logkey.Domains, domains, logkey.NextHop, nextHop(c))
		return
	}
	fmt.Fprint(ui.Out, "Postern is accepting mail.\n\n")
	printSummary(ui.Out, c, addresses, srv.Certificates())
	if url := srv.DashboardURL(); url != "" {
		row(ui.Out, "dashboard", url+"  (postern dashboard prints a link to log in)")
	}
	if url := srv.MetricsURL(); url != "" {
		row(ui.Out, "metrics", url)
	}
	direct := listeners[0].Protocol == server.STARTTLS || listeners[0].Protocol == server.ImplicitTLS
	if direct {
		fmt.Fprintf(ui.Out, "\nTry it:\n  %s\n", swaks(c, listeners[0]))
	}
	if direct && c.NextHop == nil {
		fmt.Fprintf(ui.Out, "  ls %s\n", filepath.Join(c.MaildirFolder(), "new"))
	}
	fmt.Fprint(ui.Out, "\nCtrl-C stops it.\n")
}

// printChecked prints a summary of a valid configuration, and its warnings. With strict,
// these are failures.
func printChecked(ui terminal.UI, c *config.Config, strict bool) error {
	var addresses []string
	for _, e := range server.Endpoints(c) {
		addresses = append(addresses, e.String())
	}
	var certificates []*tls.Certificate
	for _, pair := range c.Certificates {
		cert, err := c.Files.Load(pair)
		if err != nil { // changed since it was checked
			return err
		}
		certificates = append(certificates, cert)
	}
	fmt.Fprint(ui.Out, "The configuration is valid.\n\n")
	printSummary(ui.Out, c, addresses, certificates)
	warnings := c.Warnings(time.Now(), os.Geteuid())
	printProblems(ui, warnings, ui.Warning)
	if strict && len(warnings) > 0 {
		return terminal.ExitFailed
	}
	return nil
}

// printSummary writes a table of the most important settings.
func printSummary(w io.Writer, c *config.Config, addresses []string, certificates []*tls.Certificate) {
	row(w, "listens on", addresses...)
	row(w, "hostname", c.Hostname)
	row(w, "domains", config.Summary(c.Domains))
	if len(c.Recipients) > 0 {
		row(w, "recipients", config.Summary(c.Recipients))
	}
	row(w, "next hop", nextHopLines(c)...)
	row(w, "TLS reports", reportAddresses(c)...)
	row(w, "certificate", certificateLines(c, certificates)...)
	if c.MTASTS.Enabled {
		row(w, "MTA-STS", mtastsText(c.MTASTS))
	}
	row(w, "TLS mode", c.Mode.String())
}

// reportAddresses are where TLS reports are received, by mail and by POST.
func reportAddresses(c *config.Config) (ways []string) {
	if addresses := c.Reports.Addresses; len(addresses) > 0 {
		ways = append(ways, fmt.Sprintf("by mail to %s (%s)", config.Summary(addresses), c.Reports.Delivery))
	}
	if c.Reports.Path != "" {
		host := c.Hostname
		if _, port, _ := net.SplitHostPort(c.Web.Listen[0]); port != "443" {
			host = net.JoinHostPort(host, port)
		}
		ways = append(ways, "by POST to https://"+host+c.Reports.Path)
	}
	return ways
}

// mtastsText is the policy in words.
func mtastsText(m config.MTASTS) string {
	mode := string(m.Mode)
	if m.Mode == mtasts.Enforce {
		mode += " while its check passes, else testing"
	}
	return fmt.Sprintf("%s, for %s at %s", mode, config.Summary(m.Domains), config.Summary(m.MX))
}

func row(w io.Writer, name string, values ...string) {
	for _, value := range values {
		fmt.Fprintf(w, "  %-13s %s\n", name, value)
		name = ""
	}
}

// nextHopLines are the next hop with the options of its URL, and how it learns who the
// sender is.
func nextHopLines(c *config.Config) []string {
	hop := c.NextHop
	if hop == nil {
		return []string{nextHop(c)}
	}
	how := "sees Postern's address, not the sender's"
	switch {
	case hop.Proxy > 0 && hop.XClient == relay.XClientOn:
		how = "gets the sender's address by PROXY protocol and by XCLIENT"
	case hop.Proxy > 0:
		how = "gets the sender's address by PROXY protocol"
	case hop.XClient == relay.XClientOn:
		how = "gets the sender's address by XCLIENT"
	case hop.XClient == relay.XClientAuto:
		how = "gets the sender's address by XCLIENT, if it offers that"
	}
	return []string{c.NextHopURL(), how}
}

func nextHop(c *config.Config) string {
	if c.NextHop != nil {
		return c.NextHop.String()
	}
	return "Maildir " + c.MaildirFolder()
}

// certificateLines has a line for each of the first certificates.
func certificateLines(c *config.Config, certificates []*tls.Certificate) []string {
	var lines []string
	if c.ACME.Enabled {
		lines = append(lines, fmt.Sprintf("by ACME, for %s from %s", config.Summary(c.ACME.Hosts), c.ACME.Directory))
	}
	own := len(c.Certificates) == 0
	if own && len(certificates) == 0 { // not created yet
		return append(lines, "self-signed, in "+c.TLSFolder())
	}
	first, more := config.First(certificates)
	for _, cert := range first {
		kind := ""
		if own && bytes.Equal(cert.Leaf.RawIssuer, cert.Leaf.RawSubject) {
			kind = "self-signed "
		}
		lines = append(lines, fmt.Sprintf("%s%s for %s, %s", kind,
			cert.Leaf.PublicKeyAlgorithm, config.Summary(cert.Leaf.DNSNames), validity(cert.Leaf, time.Now())))
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// validity says until when a certificate is valid, or that it is not.
func validity(leaf *x509.Certificate, now time.Time) string {
	switch start, end := leaf.NotBefore.UTC().Format(time.DateOnly), leaf.NotAfter.UTC().Format(time.DateOnly); {
	case now.After(leaf.NotAfter):
		return "EXPIRED on " + end
	case now.Before(leaf.NotBefore):
		return "NOT VALID before " + start
	default:
		return "until " + end
	}
}

// swaks is a command line that sends a message to ln.
func swaks(c *config.Config, ln server.Listener) string {
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	if net.ParseIP(host).IsUnspecified() { // the IPv6 one accepts IPv4 too
		host = "127.0.0.1"
	}
	how := "--tls"
	if ln.Protocol == server.ImplicitTLS {
		how = "--tls-on-connect"
	}
	to := "postmaster@" + c.Domains[0]
	if len(c.Recipients) > 0 {
		to = c.Recipients[0]
	}
	return fmt.Sprintf("swaks --server %s --port %s %s --to %s", host, port, how, to)
}
