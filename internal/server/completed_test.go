package server

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"postern/internal/ledger"
	"postern/sessionticket"
)

// A handshake a day of each sender, and one in each mode, has its messages in the ledger.
func TestACompletedHandshakeADayIsKept(t *testing.T) {
	c := newCompleted()
	start := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	key := senderKey{ehlo: "mail.sender.example"}
	for _, step := range []struct {
		ehlo  string
		mode  sessionticket.Mode
		hours int
		want  bool
	}{
		{"mail.sender.example", sessionticket.Stock, 0, true},
		{"mail.sender.example", sessionticket.Stock, 1, false},
		{"mail.other.example", sessionticket.Stock, 1, true},
		{"mail.sender.example", sessionticket.OwnWrite, 2, true},
		{"mail.sender.example", sessionticket.OwnWrite, 25, false},
		{"mail.sender.example", sessionticket.OwnWrite, 26, true},
	} {
		key.ehlo = step.ehlo
		if got := c.wants(key, step.mode, start.Add(time.Duration(step.hours)*time.Hour)); got != step.want {
			t.Errorf("%+v: wanted %v", step, got)
		}
	}
	for i := range maxCompleted + 10 { // by clients that make up names
		key.ehlo = fmt.Sprint("mail", i)
		c.wants(key, sessionticket.Stock, start)
	}
	if n := c.stored.Len(); n > maxCompleted {
		t.Errorf("%d senders are remembered", n)
	}
}

func TestTheLedgerHasAHandshakeToCompareWith(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	o := open(t, path)
	good := mailed("AAAAAAAAAA", sessionticket.Stock)
	good.Completed = strict(t, "", sessionticket.Stock).Transcript
	o.ended(t, good)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := read(t, path).Handshake(t.Context(), "AAAAAAAAAA")
	if err != nil || found.Outcome != ledger.Full || len(found.Transcript) == 0 {
		t.Errorf("%+v, %v", found, err)
	}
}
