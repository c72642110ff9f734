package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"postern/internal/config"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// readyTime is how long the server may take to answer: it asks its next hop, for up to five
// seconds.
const readyTime = 8 * time.Second

// askReady asks the server with that configuration file whether it takes mail.
func askReady(ui terminal.UI, file string) error {
	address, err := config.MetricsAddress(file)
	if err != nil {
		return err
	}
	if address == config.Off {
		return &terminal.UsageError{Err: errors.New("metrics are off, so that the server answers no health checks"), Hint: "set listen in [metrics]"}
	}
	client := http.Client{Timeout: readyTime, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + "/readyz")
	if err != nil {
		return &terminal.HintedError{Err: fmt.Errorf("not ready: %w", errors.Unwrap(err)), Hint: "start postern serve; if it runs, name its configuration with --config"}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 512))
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	text := string(bytes.TrimSpace(answer))
	if response.StatusCode != http.StatusOK {
		return errors.New(text)
	}
	fmt.Fprintln(ui.Out, safetext.Printable(text))
	return nil
}
