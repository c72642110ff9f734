package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"postern/internal/testdisk"
)

// A message that was acknowledged is there after a crash at any moment, whole,
// and nothing half-written is.
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
		// Any moment will do, but it must be any: this is no wait for anything.
		<-time.After(rand.N(200 * time.Millisecond))
		l.kill()
		p.kill()
		ids := l.wait(t)
		acked += len(ids)
		unacked += balance(t, ids, p.maildir().take(t))
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	if acked < rounds*4 {
		t.Errorf("only %d letters were acknowledged in %d rounds", acked, rounds)
	}
	t.Logf("%d letters acknowledged in %d rounds, %d more stored", acked, rounds, unacked)
}

// SIGTERM lets each sender finish its message.
func TestNothingIsLostOrCutOffWhenStoppedUnderLoad(t *testing.T) {
	data := t.TempDir()
	for round := range 5 {
		p := startWith(t, data)
		l := startLoad(p.addr, fmt.Sprintf("round%d", round), 4, 64<<10)
		l.awaitFirst()
		<-time.After(rand.N(200 * time.Millisecond))
		l.end()
		p.terminate()
		if unacked := balance(t, l.wait(t), p.maildir().take(t)); unacked != 0 {
			t.Errorf("%d letters are stored whose senders were not told", unacked)
		}
		if left := p.maildir().files(t, "tmp"); len(left) > 0 {
			t.Errorf("left in tmp/: %q", left)
		}
	}
}

// A full disk is a clean 452, and mail goes on when there is room again.
func TestAFullDiskRefusesMailAndLosesNone(t *testing.T) {
	data := testdisk.Mount(t, "size=1m,mode=0700")
	p := startWith(t, data)
	var acked []string
	for i := range 100 {
		id := fmt.Sprintf("letter%d", i)
		reply := p.deliver(t, newLetter(id, 64<<10))
		if reply.Code == 452 {
			checkFull(t, p, acked, reply.Enhanced())
			return
		}
		if reply.Code != 250 {
			t.Fatalf("letter %d: %s", i, reply)
		}
		acked = append(acked, id)
	}
	t.Fatalf("a disk of 1 MiB took %d letters of 64 KiB", len(acked))
}

// checkFull looks at the books of a full disk, makes room, and goes on.
func checkFull(t *testing.T, p *postern, acked []string, enhanced string) {
	t.Helper()
	if enhanced != "4.3.1" {
		t.Errorf("enhanced status code %s, want 4.3.1", enhanced)
	}
	if left := p.maildir().files(t, "tmp"); len(left) > 0 {
		t.Errorf("left in tmp/: %q", left)
	}
	if unacked := balance(t, acked, p.maildir().take(t)); unacked != 0 {
		t.Errorf("%d letters are stored whose sender was refused", unacked)
	}
	if reply := p.deliver(t, newLetter("after", 64<<10)); reply.Code != 250 {
		t.Errorf("with room again: %s", reply)
	}
	if unacked := balance(t, []string{"after"}, p.maildir().take(t)); unacked != 0 {
		t.Errorf("%d letters more than sent", unacked)
	}
}

// unavailable ends a story that this machine cannot play. Under CI=true that
// is a failure.
func unavailable(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
