// Package failure explains a failed handshake of the ledger: what it looks like, how it differs
// from one that the same sender completed, and what to write to the sender's postmaster.
package failure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"postern/handshake"
	"postern/internal/ledger"
	"postern/interop"
)

// A Failure is a failed handshake with what the ledger knows around it. Of one that did not fail
// there is no more than its transcript, if it is stored.
type Failure struct {
	ledger.Handshake

	// Messages is the transcript; nil if it is not stored any more, or cannot be read. Then
	// Unread says why not.
	Messages *handshake.Transcript
	Unread   error

	// Cases are the diagnoses, the most likely first; none if no case matches.
	Cases []interop.Diagnosis

	// Completed is a handshake that the same sender completed, and CompletedMessages its
	// transcript; nil if there is none. See [ledger.Reader.Completed].
	Completed         *ledger.Handshake
	CompletedMessages *handshake.Transcript

	// Alike are the failed handshakes of the same address in the week before this one and
	// since, the newest first, at most 100.
	Alike []ledger.Handshake
}

const (
	maxAlike  = 100
	alikeTime = 7 * 24 * time.Hour
)

// Load returns a handshake, and what is known around it.
func Load(ctx context.Context, book *ledger.Reader, h ledger.Handshake) (f Failure, err error) {
	f.Handshake = h
	if len(h.Transcript) > 0 {
		f.Messages, f.Unread = handshake.Parse(h.Transcript)
	}
	if h.Outcome != ledger.Failed {
		return f, nil
	}
	f.Cases = Cases(h, f.Messages)
	switch completed, err := book.Completed(ctx, h); {
	case err == nil:
		f.Completed = &completed
		if len(completed.Transcript) > 0 {
			f.CompletedMessages, _ = handshake.Parse(completed.Transcript) // of another version: what is left is compared
		}
	case !errors.Is(err, fs.ErrNotExist):
		return f, err
	}
	if !h.Address.IsValid() {
		return f, nil
	}
	f.Alike, err = book.Handshakes(ctx, ledger.Filter{
		Since: h.At.Add(-alikeTime), Sender: h.Address.String(), Failed: true, Probes: h.Probe, Limit: maxAlike,
	})
	return f, err
}

// Scanner reports whether the client is a scanner, and no sender. No case explains it.
func (f Failure) Scanner() bool {
	return len(f.Diagnoses) > 0 && f.Diagnoses[0].Case == ledger.Scanner
}

// Cases returns the diagnoses that are stored with h, which know more than its transcript: what
// the sender did in other sessions. Rows of older versions have no evidence, so it is looked for
// again.
func Cases(h ledger.Handshake, transcript *handshake.Transcript) (diagnoses []interop.Diagnosis) {
	for _, d := range h.Diagnoses {
		if d.Case == ledger.Scanner {
			return nil
		}
		known, ok := interop.Find(d.Case)
		if !ok || len(d.Evidence) == 0 {
			if transcript == nil {
				return nil
			}
			diagnoses, _ = interop.Diagnose(transcript)
			return diagnoses
		}
		shown := interop.Diagnosis{Case: known, Confidence: interop.Confidence(d.Confidence)}
		for _, text := range d.Evidence {
			shown.Observations = append(shown.Observations, interop.Observation{Text: text, Message: -1})
		}
		diagnoses = append(diagnoses, shown)
	}
	return diagnoses
}

// When returns the times of the first and the last of the failures alike.
func (f Failure) When() (first, last time.Time) {
	first, last = f.At, f.At
	for _, h := range f.Alike {
		if h.At.Before(first) {
			first = h.At
		}
		if h.At.After(last) {
			last = h.At
		}
	}
	return first, last
}

// Times says how often the address has failed, with "at least" where only some were counted.
func (f Failure) Times() string {
	if len(f.Alike) == maxAlike {
		return fmt.Sprintf("at least %d", maxAlike)
	}
	return fmt.Sprint(max(1, len(f.Alike)))
}
