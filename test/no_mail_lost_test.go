package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/config"
	"postern/internal/testdisk"
	"postern/internal/testsmtp"
)

// After a crash at any moment every acknowledged message is stored, and none is stored in
// part.
func TestNoAcknowledgedMailIsLostWhenKilledUnderLoad(t *testing.T) {
	rounds := 20
	if os.Getenv("POSTERN_LONG") == "1" {
		rounds = 200
	}
	data := t.TempDir()
	acked, unacked := 0, 0
	for round := range rounds {
		p := startWith(t, data)
		l := startLoad(p.addr, fmt.Sprintf("round%d", round), 4, 4<<10)
		l.awaitFirst()
		// A random moment: this does not wait for anything.
		<-time.After(rand.N(200 * time.Millisecond))
		l.kill()
		p.kill()
		ids := l.wait(t)
		acked += len(ids)
		unacked += checkStored(t, ids, p.maildir().take(t))
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	if acked < rounds*4 {
		t.Errorf("only %d messages were acknowledged in %d rounds", acked, rounds)
	}
	t.Logf("%d messages acknowledged in %d rounds, %d more stored", acked, rounds, unacked)
}

// SIGTERM lets each sender finish its message.
func TestGracefulShutdownUnderLoadLosesNothing(t *testing.T) {
	data := t.TempDir()
	for round := range 5 {
		p := startWith(t, data)
		l := startLoad(p.addr, fmt.Sprintf("round%d", round), 4, 64<<10)
		l.awaitFirst()
		<-time.After(rand.N(200 * time.Millisecond))
		l.end()
		p.terminate()
		if unacked := checkStored(t, l.wait(t), p.maildir().take(t)); unacked != 0 {
			t.Errorf("%d messages are stored without acknowledgment", unacked)
		}
		if left := p.maildir().files(t, "tmp"); len(left) > 0 {
			t.Errorf("left in tmp/: %q", left)
		}
	}
}

// With a full disk senders get 452, and mail is accepted again when there is space.
func TestFullDiskDefersMailAndLosesNone(t *testing.T) {
	data := testdisk.Mount(t, "size=1m,mode=0700")
	p := startWith(t, data)
	var acked []string
	for i := range 100 {
		id := fmt.Sprintf("message%d", i)
		reply := p.deliver(t, newMessage(id, 64<<10))
		if reply.Code == 452 {
			checkFull(t, p, acked, reply.Enhanced())
			return
		}
		if reply.Code != 250 {
			t.Fatalf("message %d: %s", i, reply)
		}
		acked = append(acked, id)
	}
	t.Fatalf("a disk of 1 MiB took %d messages of 64 KiB", len(acked))
}

// checkFull checks the messages on a full disk, frees space, and delivers again.
func checkFull(t *testing.T, p *postern, acked []string, enhanced string) {
	t.Helper()
	if enhanced != "4.3.1" {
		t.Errorf("enhanced status code %s, want 4.3.1", enhanced)
	}
	if left := p.maildir().files(t, "tmp"); len(left) > 0 {
		t.Errorf("left in tmp/: %q", left)
	}
	if unacked := checkStored(t, acked, p.maildir().take(t)); unacked != 0 {
		t.Errorf("%d deferred messages are stored", unacked)
	}
	if reply := p.deliver(t, newMessage("after", 64<<10)); reply.Code != 250 {
		t.Errorf("after freeing space: %s", reply)
	}
	if unacked := checkStored(t, []string{"after"}, p.maildir().take(t)); unacked != 0 {
		t.Errorf("%d messages more than sent", unacked)
	}
}

// unavailable skips a test that this machine cannot run. Under CI=true it fails the
// test.
func unavailable(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// A fault of the ledger does not affect mail: no sender is deferred, each acknowledged
// message is stored, the log counts dropped events, and the ledger recovers by itself.
func TestFullLedgerDiskDoesNotAffectMail(t *testing.T) {
	backend := startBackend(t)
	p := startWith(t, testdisk.Mount(t, "size=4m"), "--next-hop", "smtp://"+backend.addr)
	l := startLoad(p.addr, "full", 4, 0)
	l.awaitFirst()
	filler := filepath.Join(p.data, "filler")
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	p.await(0, "level=WARN", "ledger dropping events; mail unaffected", "full")
	for _, id := range l.wait(t) {
		if !backend.has(id) {
			t.Errorf("message %s was acknowledged and is not stored", id)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	awaitLedger(t, p)
	if got := p.log.count("ledger dropping"); got != 1 {
		t.Errorf("the log says %d times that events are dropped, want once", got)
	}
	p.terminate()
	p.await(0, "ledger", "dropped") // the number of events, once it has recovered or the server stops
}

func TestDeletedLedgerDoesNotAffectMail(t *testing.T) {
	p := start(t)
	if out, status := runPostern(t, "senders", "pin", "192.0.2.0/24", "tls12", "--why", "to be kept", "--data", p.data); status != 0 {
		t.Fatal(out)
	}
	shows := func(text string) error { return checkOutput(t, text, "senders", "show", "192.0.2.7", "--data", p.data) }
	eventually(t, func() error { return shows("pinned, from own-write to tls12") })
	l := startLoad(p.addr, "deleted", 4, 0)
	l.awaitFirst()
	if err := os.Remove(config.LedgerFile(p.data)); err != nil {
		t.Fatal(err)
	}
	p.await(0, "level=WARN", "ledger file removed or replaced; using what is at its path")
	checkStored(t, l.wait(t), p.maildir().take(t))
	awaitLedger(t, p)
	if err := shows("192.0.2.0/24 to mode tls12 since"); err != nil {
		t.Error(err)
	}
	if got := p.log.count("level=WARN"); got != 1 {
		t.Errorf("the log has %d warnings, want that one", got)
	}
}

func TestDamagedLedgerDoesNotAffectMail(t *testing.T) {
	data := t.TempDir()
	garbage := strings.Repeat("no database. ", 1000)
	if err := os.WriteFile(config.LedgerFile(data), []byte(garbage), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startWith(t, data)
	p.await(0, "level=ERROR", "ledger damaged; starting a new one", "aside=")
	l := startLoad(p.addr, "damaged", 4, 0)
	l.awaitFirst()
	checkStored(t, l.wait(t), p.maildir().take(t))
	awaitLedger(t, p)
	aside, err := filepath.Glob(config.LedgerFile(data) + ".damaged-*Z")
	if err != nil || len(aside) != 1 {
		t.Fatalf("moved aside: %q, %v; want one file", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != garbage {
		t.Errorf("the file moved aside has %d bytes, %v; want the old ones", len(kept), err)
	}
}

// awaitLedger waits until the ledger stores events again.
func awaitLedger(t *testing.T, p *postern) {
	t.Helper()
	eventually(t, func() error {
		if _, err := deliverStrictly(p.addr, testsmtp.OpportunisticTLS()); err != nil {
			t.Fatal(err)
		}
		return checkOutput(t, "strict.test", "handshakes", "--data", p.data)
	})
}
