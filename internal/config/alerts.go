package config

import (
	"bytes"
	"fmt"
	"net/mail"
	"net/url"
	"os/exec"
	"path/filepath"

	"postern/internal/oserror"
)

// Alerts configures who is told of alerts.
type Alerts struct {
	Enabled    bool     // there is a table alerts
	Mail       []string // addresses; nil: none
	Webhook    string   // a URL; empty: none
	SecretFile string   // of the webhook's signature; empty: none
	Secret     []byte   // its content
	Command    []string // a program and its arguments; nil: none
	MaxPerDay  int      // messages of each channel
	Weekly     bool     // also mail a summary of each week
}

// minSecret is the least size of a secret, in bytes: RFC 2104, Section 3, advises the size of the
// hash, and 16 bytes at random are enough.
const minSecret = 16

// checkAlerts checks the table alerts, if there is one: an empty one means mail to postmaster.
func (l *loading) checkAlerts() {
	a := &l.config.Alerts
	if a.Enabled = l.places.given("alerts"); !a.Enabled {
		return
	}
	if a.Mail == nil && len(l.config.Domains) > 0 {
		a.Mail = []string{"postmaster@" + l.config.Domains[0]}
	}
	for i, address := range a.Mail {
		if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address {
			l.add(element("alerts.mail", i), fmt.Sprintf("%q is not an address", address), "write an address such as name@example.org")
		}
	}
	if len(a.Mail) == 0 && a.Webhook == "" && len(a.Command) == 0 {
		l.add("alerts.mail", "is empty, and there is neither webhook nor command", "name one of them, or remove the table")
	}
	if a.Weekly && len(a.Mail) == 0 {
		l.add("alerts.weekly-summary", "needs an address in mail, which is empty", "name one, or remove the key")
	}
	l.checkWebhook()
	l.checkAlertCommand()
}

func (l *loading) checkWebhook() {
	a := &l.config.Alerts
	if u, err := url.Parse(a.Webhook); a.Webhook != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		l.add("alerts.webhook", fmt.Sprintf("%q is not a URL", a.Webhook), "write a URL such as https://example.org/hook")
	}
	if a.SecretFile == "" {
		return
	}
	if a.Webhook == "" {
		l.add("alerts.webhook-secret", "there is no webhook", "set webhook, or remove the key")
	}
	content, err := oserror.ReadFile(a.SecretFile)
	if err != nil {
		l.add("alerts.webhook-secret", oserror.Text(err), "name a file that the user that postern runs as can read")
		return
	}
	if a.Secret = bytes.TrimSpace(content); len(a.Secret) < minSecret {
		l.add("alerts.webhook-secret", fmt.Sprintf("%s has less than %d bytes", a.SecretFile, minSecret), "write a random one, as openssl rand -hex 32 prints")
	}
}

func (l *loading) checkAlertCommand() {
	command := l.config.Alerts.Command
	if len(command) == 0 {
		return
	}
	if !filepath.IsAbs(command[0]) {
		l.add("alerts.command[0]", fmt.Sprintf("%q is not a whole path", command[0]), `write one such as "/usr/local/bin/notify"; there is no shell`)
	} else if _, err := exec.LookPath(command[0]); err != nil {
		l.add("alerts.command[0]", fmt.Sprintf("%s cannot be run", command[0]), "name a program that the user that postern runs as can run")
	}
}
