package maildir

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"postern/internal/logkey"
)

// leftoverAge is the age at which a file in tmp/ no longer belongs to a delivery, by the
// Maildir convention.
const leftoverAge = 36 * time.Hour

// Run removes what crashes have left in tmp/, now and once a day, until ctx is done.
func (m *Maildir) Run(ctx context.Context) {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		m.clean(time.Now())
		select {
		case <-day.C:
		case <-ctx.Done():
			return
		}
	}
}

// clean removes the files of tmp/ that are older than leftoverAge.
func (m *Maildir) clean(now time.Time) {
	removed, err := removeOlder(filepath.Join(m.dir, "tmp"), now.Add(-leftoverAge))
	if removed > 0 {
		m.log.Info("removed leftover Maildir files",
			slog.String(logkey.NextHop, m.name()),
			slog.Int(logkey.Messages, removed))
	}
	if err != nil {
		m.log.Error("cannot remove leftover Maildir files",
			slog.String(logkey.NextHop, m.name()),
			slog.Any(logkey.Err, err))
	}
}

// removeOlder removes the files of dir that were last written to before limit. It
// returns the first error, but tries all files.
func removeOlder(dir string, limit time.Time) (removed int, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		old, failed := isOlder(entry, limit)
		if old {
			failed = os.Remove(filepath.Join(dir, entry.Name()))
		}
		if old && failed == nil {
			removed++
		}
		if err == nil && !errors.Is(failed, fs.ErrNotExist) { // a missing file: its delivery has just ended
			err = failed
		}
	}
	return removed, err
}

func isOlder(entry fs.DirEntry, limit time.Time) (bool, error) {
	if entry.IsDir() {
		return false, nil
	}
	stat, err := entry.Info()
	if err != nil {
		return false, err
	}
	return stat.ModTime().Before(limit), nil
}
