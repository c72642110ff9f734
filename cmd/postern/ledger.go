package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/terminal"
)

// ledgerFlags say whose ledger is asked.
type ledgerFlags struct {
	Data string `placeholder:"DIR" default:"${data}" help:"The data folder that postern serve is given (${default})."`
}

func (f ledgerFlags) path() string { return config.LedgerFile(f.Data) }

// open opens the ledger for reading, and says so if it cannot show all of it.
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

// hinted adds what to do about an error of the ledger.
func (f ledgerFlags) hinted(err error) error {
	switch {
	case errors.Is(err, ledger.ErrNoLedger):
		return &terminal.HintedError{Err: err, Hint: "give the data folder of postern serve by --data; the ledger begins when it first runs"}
	case errors.Is(err, ledger.ErrNewer):
		return &terminal.HintedError{Err: err, Hint: "use the postern that serves here, or a newer one"}
	case errors.Is(err, ledger.ErrOlder):
		return &terminal.HintedError{Err: err, Hint: "start postern serve of this version once: it brings the ledger up to date"}
	}
	return err
}

// A since is a point in the past: so long ago ("90m", "24h", "7d"), or a date or
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
	ago, err := period(word)
	if err != nil || ago < 0 {
		return fmt.Errorf("%q is neither a time ago, as 90m, 24h or 7d, nor a date, as 2026-11-24", word)
	}
	s.Time = time.Now().Add(-ago)
	return nil
}

func period(word string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(word, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(word)
}
