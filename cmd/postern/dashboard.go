package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"postern/internal/config"
	"postern/internal/dashboard"
	"postern/internal/password"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// dashboardCmd prints a login link, or a new user.
type dashboardCmd struct {
	ledgerFlags
	User string `placeholder:"NAME" help:"Instead of a link, print a new password and the line for users in [dashboard]."`
	Role string `enum:"viewer,operator" default:"viewer" placeholder:"ROLE" help:"Role of the user: viewer (default) or operator."`
}

// Help is called by kong.
func (dashboardCmd) Help() string {
	return `Prints a link that logs a browser in, once, within 10 minutes. It needs to read the file dashboard.login in the data folder: run it as the user that Postern runs as, or as root.

From another machine, forward the port first:

  ssh -L 8025:127.0.0.1:8025 mx.example.org

With --user it makes a user who logs in with a password, which is random, and shown this once. A viewer sees all pages, an operator also changes things. It changes no file: put the line into the configuration, and restart.`
}

// Run is called by kong.
func (d dashboardCmd) Run(ui terminal.UI) error {
	if d.User != "" {
		return d.printUser(ui)
	}
	login, err := dashboard.ReadLogin(config.LoginFile(d.Data))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &terminal.HintedError{Err: fmt.Errorf("no dashboard is running with the data folder %s", d.Data), Hint: "start postern serve; if it runs, name its configuration with --config, and see its log for why it has no dashboard"}
	case errors.Is(err, fs.ErrPermission):
		return &terminal.HintedError{Err: err, Hint: "run this as the user that postern serve runs as, or as root"}
	case err != nil:
		return &terminal.HintedError{Err: err, Hint: "restart postern serve, which writes the file again"}
	}
	fmt.Fprintln(ui.Out, login.Link(time.Now()))
	return nil
}

// printUser prints a new user for the configuration.
func (d dashboardCmd) printUser(ui terminal.UI) error {
	if !config.IsUserName(d.User) {
		return &terminal.HintedError{Err: fmt.Errorf("%s is not a name for a user", safetext.Quote(d.User, 64)), Hint: "use up to 64 letters, digits and the characters . _ @ -"}
	}
	word, hash := password.New()
	user := config.User{Name: d.User, Operator: d.Role == "operator", Password: hash}
	fmt.Fprintf(ui.Out, "password: %s\nuser:     %q\n", word, user)
	return nil
}
