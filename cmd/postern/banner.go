package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/logkey"
	"postern/internal/server"
	"postern/internal/terminal"
	"postern/mtasts"
)

// serving says that mail is taken, and what to try next. In a JSON log it is a
// line of that.
func printBanner(t terminal.UI, c *config.Config, log *slog.Logger, listeners []server.Listener, certificates []*tls.Certificate) {
	var addresses []string
	for _, ln := range listeners {
		addresses = append(addresses, ln.String())
	}
	if c.Log.Format == "json" {
		log.Info("accepting mail", logkey.Listen, addresses, logkey.Domains, c.Domains, logkey.NextHop, goesTo(c))
		return
	}
	fmt.Fprint(t.Out, "Postern takes mail.\n\n")
	summary(t.Out, c, addresses, certificates)
	fmt.Fprintf(t.Out, "\nTry it:\n  %s\n", swaks(c, listeners[0]))
	if c.NextHop == nil {
		fmt.Fprintf(t.Out, "  ls %s\n", filepath.Join(c.MaildirFolder(), "new"))
	}
	fmt.Fprint(t.Out, "\nCtrl-C stops it.\n")
}

// checked says what a good configuration says.
func printChecked(t terminal.UI, c *config.Config) error {
	var addresses []string
	for _, e := range server.Endpoints(c) {
		addresses = append(addresses, e.String())
	}
	var certificates []*tls.Certificate
	for _, pair := range c.Certificates {
		cert, err := certs.Load(pair, time.Now())
		if err != nil { // it was good a moment ago
			return err
		}
		certificates = append(certificates, cert)
	}
	fmt.Fprint(t.Out, "The configuration is good.\n\n")
	summary(t.Out, c, addresses, certificates)
	return nil
}

// summary writes a table of what matters.
func summary(w io.Writer, c *config.Config, addresses []string, certificates []*tls.Certificate) {
	row(w, "listens on", addresses...)
	row(w, "calls itself", c.Hostname)
	row(w, "mail for", strings.Join(c.Domains, ", "))
	if len(c.Recipients) > 0 {
		row(w, "only to", strings.Join(c.Recipients, ", "))
	}
	row(w, "goes to", goesTo(c))
	row(w, "TLS reports", takenIn(c)...)
	row(w, "certificate", describe(c, certificates)...)
	if c.MTASTS.Serve {
		row(w, "MTA-STS", offers(c.MTASTS))
	}
	row(w, "mode", c.Mode.String())
}

// takenIn says how TLS reports come, by mail and by POST.
func takenIn(c *config.Config) (ways []string) {
	if addresses := c.Reports.Addresses; len(addresses) > 0 {
		ways = append(ways, fmt.Sprintf("by mail to %s (%s)", strings.Join(addresses, ", "), c.Reports.Delivery))
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

// offers is the policy in words.
func offers(m config.MTASTS) string {
	mode := string(m.Mode)
	if m.Mode == mtasts.Enforce {
		mode += " while senders that verify get in, else testing"
	}
	return fmt.Sprintf("%s, for %s at %s", mode, strings.Join(m.Domains, ", "), strings.Join(m.MX, ", "))
}

func row(w io.Writer, name string, values ...string) {
	for _, value := range values {
		fmt.Fprintf(w, "  %-13s %s\n", name, value)
		name = ""
	}
}

func goesTo(c *config.Config) string {
	if c.NextHop != nil {
		return c.NextHop.String()
	}
	return "Maildir " + c.MaildirFolder()
}

// describe has a line for each certificate.
func describe(c *config.Config, certificates []*tls.Certificate) []string {
	var lines []string
	if c.ACME.Ask {
		lines = append(lines, fmt.Sprintf("by ACME, for %s from %s", strings.Join(c.ACME.Hosts, ", "), c.ACME.Directory))
	}
	own := len(c.Certificates) == 0
	if own && len(certificates) == 0 { // not made yet
		return append(lines, "self-signed, in "+c.TLSFolder())
	}
	for _, cert := range certificates {
		kind := ""
		if own && bytes.Equal(cert.Leaf.RawIssuer, cert.Leaf.RawSubject) {
			kind = "self-signed "
		}
		lines = append(lines, fmt.Sprintf("%s%s for %s, until %s", kind,
			cert.Leaf.PublicKeyAlgorithm, strings.Join(cert.Leaf.DNSNames, ", "), cert.Leaf.NotAfter.UTC().Format(time.DateOnly)))
	}
	return lines
}

// swaks is a command line that sends a message to ln.
func swaks(c *config.Config, ln server.Listener) string {
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	if net.ParseIP(host).IsUnspecified() { // that of IPv6 takes IPv4 too
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
