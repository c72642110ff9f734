package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/oserror"
	"postern/internal/probe"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// defaultAccepted is the file of --accepted.
const defaultAccepted = "postern-accepted.txt"

// An acceptance is the known findings in the file of --accepted, and those that --accept adds.
type acceptance struct {
	file string

	mu    sync.Mutex
	known probe.Accepted
	ids   []string        // of --accept
	found map[string]bool // those of ids that a target has
	lines []string        // to add to the file
	exist map[string]int  // problems by ID, for --accept with one that there is not
}

// readAcceptance reads the file of --accepted. The default one need not exist.
func (p probeCmd) readAcceptance() (*acceptance, error) {
	a := &acceptance{file: p.Accepted, ids: p.Accept, found: make(map[string]bool), exist: make(map[string]int)}
	if a.file == "" {
		a.file = defaultAccepted
	}
	text, err := oserror.ReadFile(a.file)
	if errors.Is(err, fs.ErrNotExist) && (p.Accepted == "" || p.Accept != nil) {
		return a, nil
	}
	if err == nil {
		if a.known, err = probe.ParseAccepted(string(text)); err != nil {
			err = fmt.Errorf("%s: %w", a.file, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--accepted: %w", err)
	}
	return a, nil
}

// examine is examine with the known findings marked.
func (a *acceptance) examine(examine examineFunc) examineFunc {
	return func(ctx context.Context, target string) (*probe.Report, error) {
		report, err := examine(ctx, target)
		if err == nil {
			a.mark(report)
		}
		return report, err
	}
}

// mark marks the known findings in a report, and accepts those of --accept.
func (a *acceptance) mark(r *probe.Report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known.Mark(r)
	for _, f := range r.AllFindings() {
		problem := f.Severity > probe.Notice
		if problem {
			a.exist[f.ID]++
		}
		if !slices.Contains(a.ids, f.ID) || !problem && f.Accepted == 0 {
			continue
		}
		a.found[f.ID] = true
		accepted := probe.AcceptedFinding{Target: r.Target, ID: f.ID}
		if problem && !slices.Contains(a.known, accepted) {
			a.known = append(a.known, accepted)
			a.lines = append(a.lines, fmt.Sprintf("%s %s  # %s, %s: %s\n", r.Target, f.ID,
				time.Now().Format(time.DateOnly), f.Severity, safetext.Printable(f.Title)))
		}
	}
	a.known.Mark(r)
}

// save adds what --accept accepted to the file. The error is that a finding does not exist.
func (a *acceptance) save(ui terminal.UI) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	added := len(a.lines)
	if err := a.write(); err != nil {
		return fmt.Errorf("--accept: %w", err)
	}
	if added > 0 {
		ui.Note("added " + plural(added, "accepted problem", "accepted problems") + " to " + a.file)
	}
	for _, id := range a.ids {
		if !a.found[id] {
			return fmt.Errorf("--accept %s: no problem with this ID was found; %s", id, a.problems())
		}
	}
	return nil
}

func (a *acceptance) problems() string {
	if len(a.exist) == 0 {
		return "there is none"
	}
	return "found: " + strings.Join(slices.Sorted(maps.Keys(a.exist)), ", ")
}

// write appends to the file, and keeps what people have written there.
func (a *acceptance) write() error {
	if len(a.lines) == 0 {
		return nil
	}
	f, err := os.OpenFile(a.file, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	text := strings.Join(a.lines, "")
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			text = "\n" + text
		}
	}
	a.lines = nil
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Close()
}
