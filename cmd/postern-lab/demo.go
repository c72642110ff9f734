package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"postern/internal/demo"
	"postern/internal/terminal"
)

// demoCmd runs a Postern whose dashboard has something to show.
type demoCmd struct {
	Dashboard string `default:"127.0.0.1:8025" placeholder:"ADDRESS" help:"Serve the dashboard on this host:port; if it is taken, on another port. Default: ${default}."`
	Data      string `placeholder:"FOLDER" help:"Keep the files in this folder, which must be empty or new. Default: a temporary folder, removed at the end."`
}

// Help is called by kong.
func (demoCmd) Help() string {
	return `Starts a Postern of its own on 127.0.0.1, fills its ledger with the handshakes of test clients, with refused commands and with TLS reports, and prints a link to its dashboard. Then senders go on to deliver, so that the page changes, until Ctrl-C.

Every handshake is a real one. Those before the start were made in the first seconds and are stored again at earlier times, so that there are 90 days to look at.`
}

// Run is called by kong.
func (d demoCmd) Run(ui terminal.UI) error {
	folder, err := d.folder()
	if err != nil {
		return err
	}
	if d.Data == "" {
		defer os.RemoveAll(folder)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	line := terminal.NewProgress(ui.Err)
	defer line.Done()
	settings := demo.Settings{Dashboard: d.Dashboard, Folder: folder, Step: line.Set}
	return demo.Run(ctx, settings, func(running demo.Demo) {
		line.Done()
		printDemo(ui, running)
	})
}

// folder returns an empty folder.
func (d demoCmd) folder() (string, error) {
	if d.Data == "" {
		return os.MkdirTemp("", "postern-demo")
	}
	if err := os.MkdirAll(d.Data, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(d.Data)
	if err == nil && len(entries) > 0 {
		err = &terminal.UsageError{Err: fmt.Errorf("--data %s: the folder is not empty", d.Data), Hint: "name a new folder"}
	}
	return d.Data, err
}

// printDemo says where to look.
func printDemo(ui terminal.UI, running demo.Demo) {
	fmt.Fprintf(ui.Out, `The demo runs. Open this link, which works once and for ten minutes:

  %[1]s

  postern dashboard --data %[2]s   prints another one
  postern handshakes --failed --data %[2]s
  swaks --server %[3]s --tls --to %[4]s   delivers a message
  the log is %[5]s

Senders deliver every few seconds. Ctrl-C stops them, and Postern.
`, running.Login, running.Data, running.SMTP, running.To, running.Log)
}
