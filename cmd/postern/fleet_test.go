package main

import (
	"bytes"
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/terminal"
)

// fleetData returns the data folder of mx1, in a fleet with mx2: a sender failed at mx1, and delivered
// at mx2, which refused another message.
func fleetData(t *testing.T) string {
	t.Helper()
	folder, other := t.TempDir(), filepath.Join(t.TempDir(), "mx2.db")
	now := time.Now()
	network := netip.MustParsePrefix("192.0.2.0/24")
	at := func(session string, age time.Duration, outcome ledger.Outcome) ledger.Handshake {
		return ledger.Handshake{
			Session: session, At: now.Add(-age), Address: netip.MustParseAddr("192.0.2.7"), Network: network,
			EHLO: "mail.sender.example", Fingerprint: "t13d1516h2_x", Outcome: outcome, Delivered: outcome != ledger.Failed,
		}
	}
	store := func(path, host string, add func(*ledger.Ledger) error) {
		l := ledger.Open(path, ledger.Options{Host: host})
		err := add(l)
		if closed := l.Close(); err == nil {
			err = closed
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	store(other, "mx2", func(l *ledger.Ledger) error {
		l.AddHandshake(at("BBBBBBBBBB", time.Minute, ledger.Full))
		l.AddRefusal(ledger.Refusal{Last: now, Network: network, Command: "RCPT", Reply: "550 5.7.1 relaying denied", Count: 1, Session: "CCCCCCCCCC"})
		l.PutAlert(ledger.Alert{ID: 3, Kind: "ledger-drops", Subject: "ledger.db", Since: now, Began: now, Seen: now})
		return nil
	})
	var records []ledger.Record
	store(other, "mx2", func(l *ledger.Ledger) (err error) {
		records, err = l.Own(context.Background(), 0, 100)
		return err
	})
	store(config.LedgerFile(folder), "mx1", func(l *ledger.Ledger) error {
		l.AddHandshake(at("AAAAAAAAAA", time.Hour, ledger.Failed))
		return l.Take(context.Background(), "mx2", 0, records)
	})
	return folder
}

// Commands show what was at all hosts of a fleet, say at which, and choose one.
func TestCommandsSayAtWhichHostOfAFleet(t *testing.T) {
	folder := fleetData(t)
	for _, test := range []struct {
		args      string
		want, not []string
	}{
		{"handshakes", []string{"AAAAAAAAAA  mx1 ", "BBBBBBBBBB  mx2 "}, nil},
		{"handshakes --host mx2", []string{"BBBBBBBBBB  mx2 "}, []string{"AAAAAAAAAA"}},
		{"report list --host mx2", []string{"no reports"}, nil},
		{"handshakes --json", []string{`"session":"AAAAAAAAAA"`, `"host":"mx1"`, `"host":"mx2"`}, nil},
		{"senders", []string{"192.0.2.0/24  ", "  1         -         1 "}, []string{"at mx"}},
		{"senders --host mx1", []string{"at mx1"}, []string{"at mx2"}},
		{"senders show 192.0.2.7", []string{"at mx1", "at mx2"}, nil},
		{"senders show 192.0.2.7 --host mx1", []string{"at mx1"}, []string{"at mx2"}},
		{"refusals", []string{"192.0.2.0/24 at mx2", "relaying denied"}, nil},
		{"refusals --host mx1", []string{"no commands refused"}, []string{"relaying"}},
		{"alerts", []string{"3  The ledger drops events (ledger.db) at mx2"}, nil},
		{"alerts --host mx1", []string{"no alerts"}, nil},
		{"status", []string{"Every sender in the last 24 hours delivered."}, nil},
		{"status --host mx2", []string{"Every sender in the last 24 hours at mx2 delivered."}, nil},
		{"status --host mx1", []string{"No mail came in the last 24 hours at mx1."}, nil},
	} {
		var out bytes.Buffer
		run(append(strings.Fields(test.args), "--data", folder), terminal.UI{Command: "postern", Out: &out, Err: &out})
		for _, text := range test.want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("postern %s: no %q in\n%s", test.args, text, &out)
			}
		}
		for _, text := range test.not {
			if strings.Contains(out.String(), text) {
				t.Errorf("postern %s: has %q\n%s", test.args, text, &out)
			}
		}
	}
}

// A host that is not there is an error with those that are, not an empty list.
func TestCommandsKnowTheHostsOfAFleet(t *testing.T) {
	folder, alone := fleetData(t), t.TempDir()
	l := ledger.Open(config.LedgerFile(alone), ledger.Options{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"handshakes", "senders", "senders show 192.0.2.7", "refusals", "alerts", "status", "status --json", "report list", "report summary"} {
		for data, remedy := range map[string]string{folder: "name one of mx1, mx2", alone: "leave out --host"} {
			var out bytes.Buffer
			exit := run(append(strings.Fields(command), "--host", "mx9", "--data", data), terminal.UI{Command: "postern", Out: &out, Err: &out})
			if exit != terminal.ExitUsage || !strings.Contains(out.String(), "mx9: no host of the fleet has that name") || !strings.Contains(out.String(), remedy) {
				t.Errorf("postern %s --host mx9: %d\n%s", command, exit, &out)
			}
		}
	}
}
