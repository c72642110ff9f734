package test

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"postern/internal/config"
)

// The calls that store a message fail one by one, as on a broken disk. Its sender is deferred, nothing is
// left of it, and the next message is stored.
func TestFailingDiskDefersAMessage(t *testing.T) {
	t.Parallel()
	p := start(t)
	folder := filepath.Join(p.data, "maildir", "new")
	stored := 0
	for _, tt := range []struct {
		inject string // into the calls in the folder
		code   int
		says   string
	}{
		{"openat:error=EIO", 451, "input/output error"},
		{"linkat:error=EIO", 451, "input/output error"},
		{"linkat:error=ENOSPC", 452, "no space left on device"},
		{"linkat:error=EDQUOT", 452, "disk quota exceeded"},
	} {
		from := p.log.length()
		fault := p.trace("-P", folder, "-e", "trace=openat,linkat", "-e", "inject="+tt.inject)
		deliverPlainly(t, p, tt.code)
		p.await(from, "level=ERROR", "cannot store message", tt.says)
		fault.end()
		deliverPlainly(t, p, 250)
		if stored++; len(p.maildir().files(t, "new")) != stored || len(p.maildir().files(t, "tmp")) != 0 {
			t.Errorf("%s: %q is stored, and %q is left, want one message more and nothing", tt.inject, p.maildir().files(t, "new"), p.maildir().files(t, "tmp"))
		}
	}
}

// A disk fails now and then while many senders deliver: what was acknowledged is stored, and what was
// deferred is not.
func TestFailingDiskLosesNoMailUnderLoad(t *testing.T) {
	t.Parallel()
	p := start(t)
	l := startLoad(p.addr, "failing", 4, 4<<10)
	l.awaitFirst()
	l.failing.Store(true)
	fault := p.trace("-P", filepath.Join(p.data, "maildir", "new"), "-e", "trace=linkat", "-e", "inject=linkat:error=EIO:when=1+3")
	eventually(t, func() error {
		if n := l.deferred.Load(); n < 20 {
			return fmt.Errorf("%d messages were deferred", n)
		}
		return nil
	})
	fault.end()
	if unacked := checkStored(t, l.wait(t), p.maildir().take(t)); unacked != 0 {
		t.Errorf("%d messages are stored without acknowledgment", unacked)
	}
	if reply := p.deliver(t, newMessage("after", 0)); reply.Code != 250 {
		t.Errorf("afterwards: %s", reply)
	}
}

// The disk fails below the ledger, and not below mail. No sender is deferred, the log has one line, and
// each session is in the ledger or counted as dropped. Then the ledger goes on by itself.
func TestFailingDiskOfTheLedgerDoesNotAffectMail(t *testing.T) {
	t.Parallel()
	p := start(t)
	sessions := 0
	deliver := func() {
		t.Helper()
		deliverPlainly(t, p, 250)
		sessions++
	}
	inLedger := func() (n int) {
		out, _ := runPostern(t, "senders", "--json", "--data", p.data)
		for _, match := range regexp.MustCompile(`"plaintext":(\d+)`).FindAllStringSubmatch(out, -1) {
			of, _ := strconv.Atoi(match[1])
			n += of
		}
		return n
	}
	another := func() {
		t.Helper()
		before := inLedger()
		eventually(t, func() error {
			deliver()
			if inLedger() == before {
				return errors.New("the ledger stores nothing")
			}
			return nil
		})
	}
	another()

	fault := p.trace("-P", config.LedgerFile(p.data)+"-wal", "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=EIO")
	eventually(t, func() error {
		deliver()
		if p.log.count("level=WARN", "ledger dropping events; mail unaffected", "the disk failed", "look for errors of the disk") == 0 {
			return errors.New("the log does not say that the disk failed")
		}
		return nil
	})
	for range 20 {
		deliver()
	}
	fault.end()
	another()
	if n := p.log.count(`level=WARN msg="ledger `); n != 1 {
		t.Errorf("the log has %d warnings about the ledger, want one", n)
	}
	p.terminate()

	dropped := 0
	for _, line := range p.log.all("dropped") {
		if match := regexp.MustCompile(`\bdropped=(\d+)|\b(\d+) events dropped`).FindStringSubmatch(line); match != nil {
			n, _ := strconv.Atoi(match[1] + match[2])
			dropped += n
		}
	}
	if stored := inLedger(); stored+dropped != sessions || dropped == 0 {
		t.Errorf("of %d sessions %d are in the ledger, and %d were dropped", sessions, stored, dropped)
	}
	if n := len(p.maildir().files(t, "new")); n != sessions {
		t.Errorf("of %d messages %d are stored", sessions, n)
	}
}
