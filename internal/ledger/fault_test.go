package ledger

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/fallback"
	"postern/internal/testdisk"
	"postern/internal/testlog"
	"postern/sessionticket"
)

const (
	begins = "ledger dropping events; mail unaffected"
	ends   = "ledger storing events again"
)

// opened returns a ledger that logs the end of drops as soon as events are written again.
func opened(t *testing.T, path string, o Options) *Ledger {
	t.Helper()
	l := newLedger(path, o)
	l.drops.quiet = 0
	l.start()
	t.Cleanup(func() { l.Close() })
	return l
}

// holds waits until the ledger at path has a handshake of the session.
func holds(t *testing.T, path, session string) {
	t.Helper()
	until(t, "in the ledger: "+session, func() bool {
		r, err := OpenReader(path)
		if err != nil {
			return false
		}
		defer r.Close()
		_, err = r.Handshake(t.Context(), session)
		return err == nil
	})
}

// comesBack adds handshakes until one is stored.
func comesBack(t *testing.T, l *Ledger) {
	t.Helper()
	n := 0
	until(t, "whole again", func() bool {
		n++
		session := fmt.Sprintf("again%d", n)
		l.AddHandshake(failure(session))
		r, err := OpenReader(l.path)
		if err != nil {
			return false
		}
		defer r.Close()
		found, err := r.Handshakes(t.Context(), Filter{Limit: 1})
		return err == nil && len(found) == 1 && strings.HasPrefix(found[0].Session, "again")
	})
}

// A disk that hangs delays nothing, and is logged once when it begins and once when it is over.
func TestSlowDiskDelaysNothing(t *testing.T) {
	t.Parallel()
	path := empty(t)
	var log testlog.Log
	l := opened(t, path, Options{Log: log.Logger()})
	db, err := connect(path, forWriting())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.Begin() // the writer waits for its end
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback()
	large := with(failure("large"), func(h *Handshake) { h.Transcript = make([]byte, maxTranscript) })
	for l.Stats().Dropped < 100 {
		l.AddHandshake(large)
	}
	until(t, "logged", func() bool { return log.Count(begins) == 1 })
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	until(t, "logged to be over", func() bool { return log.Count(ends) == 1 })
	if got := l.Stats().Dropped; log.Count(fmt.Sprintf("dropped=%d", got)) != 1 || log.Count(begins) != 1 {
		t.Errorf("%d events lost, the log says\n%s", got, log.String())
	}
	holds(t, path, "large")
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	l := newLedger(filepath.Join(t.TempDir(), "ledger"), Options{}) // without a writer
	for range 2 * maxQueued {
		l.add(decision{})
	}
	if n := len(l.queue); n != maxQueued || l.Stats().Dropped != maxQueued {
		t.Errorf("%d are queued, %d lost", n, l.Stats().Dropped)
	}
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	l := newLedger(filepath.Join(t.TempDir(), "ledger"), Options{}) // without a writer
	h := with(failure("A"), func(h *Handshake) { h.Stopped = string(make([]byte, 1<<20)) })
	for range 100 {
		l.AddHandshake(h)
	}
	if n := len(l.queue); n < 10 || n > maxQueuedBytes>>20 || l.Stats().Dropped != int64(100-n) {
		t.Errorf("%d MiB are queued, %d lost", n, l.Stats().Dropped)
	}
}

// A flood of failures faster than the disk leaves half of the queue to others.
func TestLongQueueTakesNoTranscripts(t *testing.T) {
	t.Parallel()
	l := newLedger(filepath.Join(t.TempDir(), "ledger"), Options{}) // without a writer
	h := with(failure("A"), func(h *Handshake) { h.Transcript = make([]byte, 1<<20) })
	for range 100 {
		l.AddHandshake(h)
	}
	if bytes := l.queued.Load(); bytes > 10<<20 || len(l.queue) != 100 {
		t.Errorf("%d failures with %d bytes are queued, want all in 10 MiB at most", len(l.queue), bytes)
	}
}

func TestFullDiskIsSurvived(t *testing.T) {
	t.Parallel()
	dir := testdisk.Mount(t, "size=1m")
	path := filepath.Join(dir, "ledger")
	var log testlog.Log
	l := opened(t, path, Options{Log: log.Logger()})
	n := 0
	until(t, "full", func() bool {
		for range maxBatch - len(l.queue) {
			l.AddHandshake(failure(fmt.Sprint(n)))
			n++
		}
		return l.Stats().Dropped > 0
	})
	until(t, "logged", func() bool { return log.Count(begins) == 1 })
	holds(t, path, "0") // it can be read
	testdisk.Remount(t, dir, 0, "size=64m")
	comesBack(t, l)
	until(t, "logged to be over", func() bool { return log.Count(ends) > 0 })
	expectSound(t, path)
}

// The file cannot be written and its journal can, as with bad blocks below the file. The journal does not
// grow until the disk is full, which may be that of mail, and nothing of it is lost.
func TestFailingFileDoesNotLetTheJournalGrow(t *testing.T) {
	t.Parallel()
	testdisk.Root(t)
	path := empty(t)
	small := testdisk.Mount(t, "size=1m")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(filepath.Join(small, "ledger"), text, mode)
	}
	if err == nil {
		err = syscall.Mount(filepath.Join(small, "ledger"), path, "", syscall.MS_BIND, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	var log testlog.Log
	l := opened(t, path, Options{Log: log.Logger()})
	random := rand.NewChaCha8([32]byte{})
	until(t, "logged", func() bool {
		for len(l.queue) < 16 {
			transcript := make([]byte, maxTranscript)
			random.Read(transcript)
			l.AddHandshake(with(failure("large"), func(h *Handshake) { h.Transcript = transcript }))
		}
		return log.Count(begins) == 1
	})
	if log.Count("the disk is full") != 1 {
		t.Errorf("the log says\n%s", log.String())
	}
	holds(t, path, "large")
	testdisk.Remount(t, small, 0, "size=512m")
	comesBack(t, l)
	until(t, "logged to be over", func() bool { return log.Count(ends) > 0 })
	expectSound(t, path)
}

func TestReadOnlyDiskIsSurvived(t *testing.T) {
	t.Parallel()
	dir := testdisk.Mount(t, "size=8m")
	path := filepath.Join(dir, "ledger")
	testdisk.Remount(t, dir, syscall.MS_RDONLY, "")
	var log testlog.Log
	l := opened(t, path, Options{Log: log.Logger()})
	l.AddHandshake(failure("lost"))
	until(t, "lost", func() bool { return l.Stats().Dropped == 1 })
	testdisk.Remount(t, dir, 0, "")
	comesBack(t, l)
}

func TestDeletedFileIsReplaced(t *testing.T) {
	t.Parallel()
	path := empty(t)
	var log testlog.Log
	o := Options{Log: log.Logger()}
	calls := make(chan []fallback.Pin, 10)
	o.Pins = report(calls)
	l := opened(t, path, o)
	pin := fallback.Pin{Network: netip.MustParsePrefix("192.0.2.0/24"), Mode: sessionticket.TLS12, Why: "an old gateway", Since: noon}
	if err := SetPin(t.Context(), path, pin); err != nil {
		t.Fatal(err)
	}
	<-calls // none
	<-calls
	l.AddHandshake(failure("A"))
	holds(t, path, "A")
	r := reader(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l.AddHandshake(failure("B"))
	holds(t, path, "B")
	if got := sessions(t, r, Filter{}); got != "B" {
		t.Errorf("a reader that was open sees %q, want the new file's", got)
	}
	if pins, err := r.Pins(t.Context()); err != nil || len(pins) != 1 || pins[0] != pin {
		t.Errorf("pins %v, %v; want the one that was set", pins, err)
	}
	if log.Count("ledger file removed or replaced") != 1 || l.Stats().Dropped != 0 {
		t.Errorf("%d lost, the log says\n%s", l.Stats().Dropped, log.String())
	}
	expectSound(t, path)
}

// The journal of the old file stays, and must not be applied to the new one. A reader at just
// that moment may do so, and cost an event.
func TestReplacedFileIsUsed(t *testing.T) {
	t.Parallel()
	other := written(t, failure("other"))
	path := empty(t)
	l := opened(t, path, Options{})
	for n := range 100 {
		l.AddHandshake(failure(fmt.Sprint(n)))
	}
	holds(t, path, "99")
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	comesBack(t, l)
	r := reader(t, path)
	if got := sessions(t, r, Filter{Limit: maxLimit}); !strings.HasSuffix(got, " other") || strings.Contains(got, " 99 ") {
		t.Errorf("the ledger has %q, want the handshakes of the new file and those added since", got)
	}
	expectSound(t, path)
}

func TestDamagedFileIsSetAside(t *testing.T) {
	t.Parallel()
	path := written(t, failure("old"))
	garbage := []byte(strings.Repeat("no database", 1000))
	if err := os.WriteFile(path, garbage, mode); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(path); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("OpenReader: %v", err)
	}
	var log testlog.Log
	l := opened(t, path, Options{Log: log.Logger()})
	l.AddHandshake(failure("new"))
	holds(t, path, "new")
	aside := asides(t, path)
	if len(aside) != 1 || log.Count("aside="+aside[0]) != 1 {
		t.Fatalf("set aside: %v; the log says\n%s", aside, log.String())
	}
	if text, err := os.ReadFile(aside[0]); err != nil || string(text) != string(garbage) {
		t.Errorf("what was set aside is not what was damaged: %v", err)
	}
}

// Its first pages are valid, so that only the writer finds the damage.
func TestFileWithDamagedPagesIsSetAside(t *testing.T) {
	t.Parallel()
	path := written(t, failure("old"))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("\xa5", int(info.Size()-pageSize))), pageSize); err != nil {
		t.Fatal(err)
	}
	var log testlog.Log
	l := opened(t, path, Options{Log: log.Logger()})
	l.AddHandshake(failure("new"))
	holds(t, path, "new")
	if got := asides(t, path); len(got) != 1 || l.Stats().Dropped != 0 {
		t.Errorf("set aside: %v, %d lost; the log says\n%s", got, l.Stats().Dropped, log.String())
	}
	expectSound(t, path)
}

func TestFewDamagedFilesAreKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	l := newLedger(path, Options{})
	w := newWriter(l)
	for day := range 2 * maxAside {
		l.now = func() time.Time { return noon.Add(time.Duration(day) * 24 * time.Hour) }
		if err := os.WriteFile(path, fmt.Append(nil, "damaged ", day), mode); err != nil {
			t.Fatal(err)
		}
		w.setAside()
	}
	kept := asides(t, path)
	if len(kept) != maxAside || !strings.Contains(kept[maxAside-1], "20260803") {
		t.Errorf("kept %v, want the newest %d", kept, maxAside)
	}
}

// It runs alone: Close waits for the disk for a bounded time.
func TestCloseWritesWhatIsQueued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l := Open(path, Options{})
	const n = 2 * maxBatch
	for i := range n {
		l.AddHandshake(success(fmt.Sprint(i)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		t.Error("the journal is left behind")
	}
	if got, err := reader(t, path).Handshakes(t.Context(), Filter{Limit: maxLimit}); err != nil || len(got) != n {
		t.Errorf("%d written, %v; want %d", len(got), err, n)
	}
	l.AddHandshake(success("late"))
	if l.Stats().Dropped != 1 {
		t.Errorf("what comes after Close is not counted as lost")
	}
}

func asides(t *testing.T, path string) []string {
	t.Helper()
	found, err := filepath.Glob(path + ".damaged-*Z")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// expectSound makes SQLite check the whole file.
func expectSound(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("%s: %s, %v", path, verdict, err)
	}
}
