package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/config"
	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// ledgerFlags choose a ledger.
type ledgerFlags struct {
	File string `name:"config" placeholder:"FILE" help:"Use the data folder that this configuration of postern serve sets. Default: ${config}, if there is one."`
	Data string `placeholder:"FOLDER" help:"Use this data folder of postern serve. Default: that of the configuration, else ${data}."`
}

// AfterApply is called by kong.
func (f *ledgerFlags) AfterApply() (err error) {
	if f.Data == "" {
		f.Data, err = config.DataFolder(configFile(f.File))
	}
	return err
}

func (f ledgerFlags) path() string { return config.LedgerFile(f.Data) }

// open opens the ledger for reading, with a note if it cannot show everything.
func (f ledgerFlags) open(ui terminal.UI) (*ledger.Reader, error) {
	r, err := ledger.OpenReader(f.path())
	if err != nil {
		return nil, f.hinted(err)
	}
	if notice := r.Notice(); notice != "" {
		ui.Note(notice)
	}
	return r, nil
}

// openIfAny opens the ledger for reading. It returns nil if there is none.
func (f ledgerFlags) openIfAny(ui terminal.UI) (*ledger.Reader, error) {
	r, err := f.open(ui)
	if errors.Is(err, ledger.ErrNoLedger) {
		return nil, nil
	}
	return r, err
}

// A hostFlag chooses a host of the fleet.
type hostFlag struct {
	Host string `complete:"host" placeholder:"NAME" help:"Only what was at this host of the fleet, as postern fleet lists it. Default: at all hosts."`
}

// check returns an error if there is no such host: its name may be misspelt.
func (f hostFlag) check(book *ledger.Reader) error {
	if f.Host == "" || f.Host == ledger.Here {
		return nil
	}
	known, err := hostNames(context.Background(), book)
	if err != nil || slices.Contains(known, f.Host) {
		return err
	}
	hint := "leave out --host: the ledger has no fleet"
	if len(known) > 0 {
		hint = "name one of " + safetext.Shorten(strings.Join(known, ", "), 200)
	}
	return &terminal.UsageError{Err: fmt.Errorf("%s: %w", safetext.Shorten(f.Host, 60), fleet.ErrUnknownHost), Hint: hint}
}

// hostNames returns the hosts of the fleet: those of which there is something, this one's first, and those
// that have seen nothing yet.
func hostNames(ctx context.Context, book *ledger.Reader) ([]string, error) {
	names, err := book.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	listed, err := book.Checks(ctx, ledger.CheckFilter{Kind: ledger.FleetCheck, Limit: fleet.MaxHosts})
	for _, host := range listed {
		if !slices.Contains(names, host.Name) {
			names = append(names, host.Name)
		}
	}
	return names, err
}

// openAt opens the ledger for reading what was at a host.
func (f ledgerFlags) openAt(at hostFlag, ui terminal.UI) (*ledger.Reader, error) {
	book, err := f.open(ui)
	if err != nil {
		return nil, err
	}
	if err := at.check(book); err != nil {
		book.Close()
		return nil, err
	}
	return book, nil
}

// atHost is the host of a row, for the end of a phrase; empty without a fleet.
func atHost(name string) string {
	if name == "" {
		return ""
	}
	return " at " + safetext.Shorten(name, 60)
}

// hinted adds a hint to an error of the ledger.
func (f ledgerFlags) hinted(err error) error {
	switch {
	case errors.Is(err, ledger.ErrNoLedger):
		return &terminal.HintedError{Err: err, Hint: "name the configuration of postern serve with --config, or its data folder with --data; the first start creates the ledger"}
	case errors.Is(err, ledger.ErrOlder):
		return &terminal.HintedError{Err: err, Hint: "start postern serve of this version once; it migrates the ledger"}
	}
	return err
}

// A since is a point in the past, given as an age ("90m", "24h", "7d") or as a date or
// time ("2026-11-24", "2026-11-24T15:04:05Z").
type since struct{ time.Time }

// UnmarshalText is called by kong.
func (s *since) UnmarshalText(text []byte) error {
	word := string(text)
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339} {
		if at, err := time.ParseInLocation(layout, word, time.Local); err == nil {
			s.Time = at
			return nil
		}
	}
	age, err := parseAge(word)
	if err != nil || age < 0 {
		return fmt.Errorf("%q is neither an age such as 90m, 24h or 7d, nor a date such as 2026-11-24", word)
	}
	s.Time = time.Now().Add(-age)
	return nil
}

func parseAge(word string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(word, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(word)
}

// maxRows is the most rows that the ledger returns.
const maxRows = 10_000

// A limit is the number of rows that a list may have.
type limit int

// UnmarshalText is called by kong.
func (l *limit) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > maxRows {
		return fmt.Errorf("%q is not a number from 1 to %d; choose by time, with --since", text, maxRows)
	}
	*l = limit(n)
	return nil
}

// query is the number of rows to ask the ledger for: one more, to see whether there are more.
func (l limit) query() int { return min(int(l)+1, maxRows) }

// cut returns the rows that l allows, and notes that there are more.
func cut[T any](ui terminal.UI, rows []T, l limit) []T {
	switch {
	case len(rows) > int(l):
		ui.Note(fmt.Sprintf("these are the first %d; --limit allows more", l))
		return rows[:l]
	case len(rows) == maxRows:
		ui.Note(fmt.Sprintf("these are the first %d, the most that a list has; --since chooses by time", maxRows))
	}
	return rows
}
