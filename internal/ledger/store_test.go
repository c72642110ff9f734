package ledger

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/internal/fallback"
	"postern/internal/testlog"
	"postern/sessionticket"
)

// next is a migration of a newer Postern.
const next = `ALTER TABLE handshakes ADD COLUMN mood TEXT NOT NULL DEFAULT ''; CREATE TABLE moods (mood TEXT);`

// ledgerOf returns a ledger of a Postern with more migrations.
func ledgerOf(t *testing.T, more ...string) string {
	t.Helper()
	path := written(t, failure("A"))
	s, from, err := openStore(path, append(migrations(), more...))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if from != len(migrations()) {
		t.Fatalf("migrated from %d, want %d", from, len(migrations()))
	}
	return path
}

func TestReaderReadsALedgerOneMigrationNewer(t *testing.T) {
	t.Parallel()
	path := ledgerOf(t, next)
	r := reader(t, path)
	if got := sessions(t, r, Filter{}); got != "A" {
		t.Errorf("read %q, want what was noted before", got)
	}
	known := len(migrations())
	want := fmt.Sprintf("ledger written by a newer postern (schema %d, this version knows %d): its new data is not shown", known+1, known)
	if got := r.Notice(); got != want {
		t.Errorf("notice %q, want %q", got, want)
	}
	if r := reader(t, written(t)); r.Notice() != "" {
		t.Errorf("notice on a ledger of this version: %q", r.Notice())
	}
}

// Who opens a new file at any moment finds it empty, or whole.
func TestNewLedgerIsMadeAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	if _, _, err := openStore(path, append(migrations(), "CREATE broken")); err == nil {
		t.Fatal("a broken migration was applied")
	}
	if _, err := OpenReader(path); !errors.Is(err, ErrNoLedger) {
		t.Errorf("reading it after that: %v, want %v", err, ErrNoLedger)
	}
}

func TestMuchNewerLedgerIsNotUsed(t *testing.T) {
	t.Parallel()
	path := ledgerOf(t, next, "CREATE TABLE years (year TEXT)")
	known := len(migrations())
	want := fmt.Sprintf("schema %d, this version knows %d: written by a newer postern", known+2, known)
	if _, err := OpenReader(path); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), want) || !strings.Contains(remedyOf(err), "put back a copy") {
		t.Errorf("OpenReader: %s, want %q and a remedy", remedyOf(err), want)
	}
	if err := SetPin(t.Context(), path, fallback.Pin{}); !errors.Is(err, ErrNewer) {
		t.Errorf("SetPin: %v, want ErrNewer", err)
	}
}

func TestServerDoesNotWriteANewerLedger(t *testing.T) {
	t.Parallel()
	path := ledgerOf(t, next)
	var log testlog.Log
	l := opened(t, path, Options{Log: log.Logger()})
	l.AddHandshake(failure("B"))
	until(t, "lost", func() bool { return l.Stats().Dropped == 1 })
	known := len(migrations())
	until(t, "logged", func() bool {
		return log.Count(fmt.Sprintf("schema %d, this version knows %d: written by a newer postern", known+1, known)) == 1
	})
	if got := sessions(t, reader(t, path), Filter{}); got != "A" {
		t.Errorf("the ledger has %q, want it as it was", got)
	}
}

func TestReaderDoesNotMigrate(t *testing.T) {
	t.Parallel()
	path := written(t, failure("A"))
	r, err := openReader(path, len(migrations())+1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := sessions(t, r, Filter{}); got != "A" {
		t.Errorf("read %q, want A", got)
	}
	if has, err := schemaOf(context.Background(), r.db); err != nil || has != len(migrations()) {
		t.Errorf("schema %d, %v; want it left as it was", has, err)
	}
}

func TestMigrationIsAtomic(t *testing.T) {
	t.Parallel()
	path := written(t)
	if _, _, err := openStore(path, append(migrations(), next+"CREATE nonsense")); err == nil {
		t.Fatal("nonsense is no migration")
	}
	s, from, err := openStore(path, append(migrations(), next))
	if err != nil || from != len(migrations()) {
		t.Fatalf("after a migration that failed: from %d, %v; want the one before it", from, err)
	}
	s.close()
}

// before are rows as a Postern with schema 5 wrote them.
const before = `
	INSERT INTO senders (id, network, ehlo, fingerprint, first, seen, last, failed)
		VALUES (1, x'c000020018', 'mail.sender.example', 't13', 1785326400000, 1785326400000, 1, 1);
	INSERT INTO handshakes (id, at, sender, outcome, session, address, version, suite, "group", rung)
		VALUES (1, 1785326400000, 1, 3, '7Q2F', x'c0000207', 0, 0, 0, 'stock'), (2, 1785326400000, 1, 4, '8R3G', x'c0000207', 0, 0, 0, '');
	INSERT INTO failures (handshake, stopped, next) VALUES (1, 'closed', 'offered first-write'), (2, 'closed', 'nothing');
	INSERT INTO pins (network, rung, why, since) VALUES (x'c000020018', 'tls12', 'an old gateway', 1785326400000);
	INSERT INTO decisions (at, kind, network, fingerprint, "from", "to", why, last) VALUES
		(1, 'moved-down', x'c000020018', 't13', 'stock', 'no-ticket', 'a', 1), (2, 'moved-back', x'c000020018', 't13', 'tls12', 'own-write', 'b', 1),
		(3, 'moved-up', x'c000020018', 't13', 'own-write', 'first-write', 'c', 1), (4, 'retried', x'c000020018', 't13', 'stock', 'first-write', 'd', 1),
		(5, 'pinned', x'c000020018', '', 'stock', 'tls12', 'e', 1);
	INSERT INTO states (network, fingerprint, at, value, last) VALUES
		(x'c000020018', 't13', 1785326400000, CAST('{"Network":"192.0.2.0/24","Fingerprint":"t13","Rung":"no-ticket",` +
	`"Since":"2026-07-29T11:00:00Z","Why":"closed","Seen":"2026-07-29T12:00:00Z","Used":[1,2,3,4,5],"Failed":[6,7,8,9,10],"Debt":11,` +
	`"Tried":[true,false,true,false,false],"Proven":true,"Trying":true,"Retries":12,"RetryAt":"2026-07-29T13:00:00Z",` +
	`"Witnesses":["198.51.0.0/16"],"Helps":"tls12"}' AS BLOB), 1),
		(x'0000000000000000000000000000000000', 't13', 1785326300000, CAST('broken' AS BLOB), 1);
	INSERT INTO reports (hash, at, last, via, session, address, trusted, signer, verdict, submitter, organization, report,
			successful, failed, domains, warnings, content, size)
		VALUES (x'01', 1785326400000, 1, 'hand', '', NULL, 1, 'a.example', 'signed', 'a.example', 'A', 'r1', 1, 2, '[]', '[]', x'', 1);`

func TestOldLedgerKeepsItsRows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	if err := writeOld(path, 5, func(*store) error { return nil }); err != nil {
		t.Fatal(err)
	}
	db, err := connect(path, forWriting())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(before); err != nil {
		t.Fatal(err)
	}
	recorded, err := os.ReadFile("../../handshake/testdata/version1.json")
	if err != nil {
		t.Fatal(err)
	}
	for id, transcript := range [][]byte{1: recorded, 2: []byte(`{"version":1,"helo":{}}`)} {
		packed, err := compress(gzip.NewWriter(nil), transcript)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("UPDATE failures SET transcript = ? WHERE handshake = ?", packed, id); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	if err := Open(path, Options{MaxAge: 1 << 62}).Close(); err != nil {
		t.Fatal(err)
	}

	ctx, r := t.Context(), reader(t, path)
	network := netip.MustParsePrefix("192.0.2.0/24")
	h, err := r.Handshake(ctx, "7Q2F")
	if err != nil || h.Mode != sessionticket.Stock || h.Next != "offered first-write" || h.Fingerprint != "t13" {
		t.Errorf("the handshake is %+v, %v", h, err)
	}
	if !bytes.Contains(h.Transcript, []byte(`"client_hello":`)) {
		t.Errorf("the transcript is not in the current version: %s", h.Transcript)
	}
	if h, err := r.Handshake(ctx, "8R3G"); err != nil || string(h.Transcript) != `{"version":1,"helo":{}}` {
		t.Errorf("a transcript that cannot be read is now %s, %v", h.Transcript, err)
	}
	if got := sessions(t, r, Filter{}); got != "8R3G 7Q2F" {
		t.Errorf("sessions %q", got)
	}
	pins, err := r.Pins(ctx)
	if want := []fallback.Pin{{Network: network, Mode: sessionticket.TLS12, Why: "an old gateway", Since: noon}}; err != nil || !reflect.DeepEqual(pins, want) {
		t.Errorf("pins %+v, %v; want %+v", pins, err, want)
	}
	var decided []string
	decisions, err := r.Decisions(ctx, Filter{})
	for _, d := range decisions {
		decided = append(decided, fmt.Sprintf("%s %v to %v %s", d.Kind, d.From, d.To, d.Why))
	}
	want := "pinned stock to tls12 e, retry-failed stock to first-write d, recovered own-write to first-write c, reverted tls12 to own-write b, fell-back stock to no-ticket a"
	if got := strings.Join(decided, ", "); err != nil || got != want {
		t.Errorf("decisions %v, %s; want %s", err, got, want)
	}
	state := fallback.State{
		Network: network, Fingerprint: "t13", Mode: sessionticket.NoTicket, Since: noon.Add(-time.Hour), Why: "closed", Seen: noon,
		Penalty: 11, Confirmed: true, Retrying: true, Retries: 12, RetryAt: noon.Add(time.Hour),
		Areas: []netip.Prefix{netip.MustParsePrefix("198.51.0.0/16")}, Helps: sessionticket.TLS12,
	}
	for i, mode := range []sessionticket.Mode{sessionticket.Stock, sessionticket.FirstWrite, sessionticket.OwnWrite, sessionticket.NoTicket, sessionticket.TLS12} {
		state.Worked[mode], state.Failed[mode], state.Tried[mode] = i+1, i+6, i == 0 || i == 2
	}
	states, err := r.States(ctx)
	if err == nil || !strings.Contains(err.Error(), "decoding a state") || len(states) != 1 || !reflect.DeepEqual(states[0], state) {
		t.Errorf("states %+v, %v; want %+v", states, err, state)
	}
	reports, err := r.Reports(ctx, ReportFilter{Verified: true})
	if err != nil || len(reports) != 1 || reports[0].Via != ByFile || !reports[0].Verified {
		t.Errorf("reports %+v, %v", reports, err)
	}
}
