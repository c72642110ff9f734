package clientsim_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/clientsim"
	"postern/internal/persona"
	"postern/internal/probe"
)

// patience bounds a simulation that takes seconds.
const patience = 5 * time.Minute

// withoutPrograms is a simulation that finds no programs, so that it is the same everywhere.
func withoutPrograms(t *testing.T) *clientsim.Simulation {
	t.Setenv("PATH", t.TempDir())
	clientsim.SearchOnly(t, t.TempDir())
	return &clientsim.Simulation{Timeout: patience}
}

func run(t *testing.T, l *clientsim.Simulation) *clientsim.Matrix {
	t.Helper()
	m, err := l.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// row returns the marks of a client, one for each server.
func row(t *testing.T, m *clientsim.Matrix, client string) string {
	t.Helper()
	for i, c := range m.Clients {
		if c.Name == client {
			var marks []string
			for _, s := range m.Servers {
				marks = append(marks, string(s.Cells[i].Mark()))
			}
			return strings.Join(marks, " ")
		}
	}
	t.Fatalf("no client %s", client)
	return ""
}

// count returns how many clients have a mark at a server.
func count(m *clientsim.Matrix, server int, mark clientsim.Mark) (n int) {
	for _, c := range m.Servers[server].Cells {
		if c.Mark() == mark {
			n++
		}
	}
	return n
}

// The servers are go-smtp unmodified, over the gate in modes own-write, first-write, no-ticket
// and stock, and without tickets.
func TestTicketOrderDecidesWhoseHandshakesComplete(t *testing.T) {
	m := run(t, withoutPrograms(t))
	var orders []string
	for _, s := range m.Servers {
		orders = append(orders, s.Tickets.String())
	}
	if got, want := strings.Join(orders, " "), "before after with-data none before none"; got != want {
		t.Errorf("tickets leave %s, want %s", got, want)
	}
	for client, want := range map[string]string{
		"healthy-go":               "res res res in res in",
		"healthy-openssl":          "res res res in res in",
		"early-ticket":             "OUT res res in OUT in",
		"ticket-in-finished-read":  "OUT res res in OUT in",
		"ticket-with-data":         "res res OUT in res in",
		"ticket-after-finished":    "OUT OUT OUT in OUT in",
		"ticket-without-psk-modes": "in in in in in in",
		"tls12-only":               "res res res in res in",
		"tls10-only":               "OUT OUT OUT OUT OUT OUT",
		"falls-back-to-plaintext":  "pl pl pl pl pl pl",
		"certificate-refused":      "res res res in res in",
		"plaintext-after-starttls": "res res res in res in",
	} {
		if got := row(t, m, client); got != want {
			t.Errorf("%s: %s, want %s", client, got, want)
		}
	}
	if len(m.Clients) != len(persona.All()) {
		t.Errorf("%d clients, want each persona", len(m.Clients))
	}
	if m.Incomplete() {
		t.Error("the matrix is incomplete")
	}
	// How many resume grows with the personas. Where the ticket waits, two more do:
	// early-ticket and ticket-in-finished-read. With the first reply, one of them does not:
	// ticket-with-data.
	const finding = "Of failures over session tickets alone: " +
		"A ticket before the client's Finished (2 servers) makes handshakes of early-ticket, ticket-in-finished-read, ticket-after-finished and " +
		"ticket-surprises-client fail; %d of %d clients resume. " +
		"A ticket after the client's Finished, in a write of its own (1 server) makes handshakes of ticket-after-finished and " +
		"ticket-surprises-client fail; %d of %d clients resume. " +
		"A ticket after it, with the first reply (1 server) makes handshakes of ticket-after-finished, ticket-surprises-client and " +
		"ticket-with-data fail; %d of %d clients resume. " +
		"The lack of a ticket (2 servers) makes no handshake fail; no client resumes. " +
		"early-ticket fails if the ticket precedes its own Finished, ticket-in-finished-read only if the ticket shares a segment with the server's Finished: " +
		"no server here distinguishes them, since each sends an early ticket in that segment."
	resumed, clients := count(m, 0, clientsim.MarkResumes), len(m.Clients)
	if got, want := m.Finding(), fmt.Sprintf(finding, resumed, clients, resumed+2, clients, resumed+1, clients); got != want {
		t.Errorf("finding:\n%s\nwant\n%s", got, want)
	}
}

// One server is broken and all others are missing; those in Go run all the same.
func TestMissingProgramsAreListed(t *testing.T) {
	l := withoutPrograms(t)
	dir := t.TempDir()
	l.Peers = []string{dir}
	if err := os.WriteFile(filepath.Join(dir, "mox-v9"), []byte("#!/bin/sh\necho no config\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := run(t, l)
	var missing []string
	for _, a := range m.Missing {
		why, _, _ := strings.Cut(a.Why, ": ")
		missing = append(missing, fmt.Sprintf("%s: %s, %v", a.Name, why, a.Broken))
		if strings.Contains(a.Why, "\n") {
			t.Errorf("%q is more than a line", a.Why)
		}
	}
	want := []string{
		"openssl: not found, false", "gnutls-cli: not found, false", "swaks: not found, false",
		"maddy: not found, false", "chasquid: not found, false", "Exim: not found, false",
		"Exim, tls_resumption_hosts: not found, false", "Postfix: not found, false", "OpenSMTPD: not found, false",
		"nginx mail proxy: not found, false", "mox v9: did not start, true",
	}
	if !slices.Equal(missing, want) {
		t.Errorf("missing:\n%s\nwant\n%s", strings.Join(missing, "\n"), strings.Join(want, "\n"))
	}
	if why := m.Missing[len(m.Missing)-1].Why; !strings.HasSuffix(why, " no config") {
		t.Errorf("mox did not start: %q, want its last line", why)
	}
	if len(m.Servers) != 6 || !m.Incomplete() {
		t.Errorf("%d servers ran, incomplete: %v", len(m.Servers), m.Incomplete())
	}
}

func TestRunEndsWithItsContextAndLeavesNothing(t *testing.T) {
	l := withoutPrograms(t)
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	l.Progress = func(int, int) { cancel() }
	if _, err := l.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestCellsNotDoneInTimeAreInconclusive(t *testing.T) {
	l := withoutPrograms(t)
	l.Timeout = time.Nanosecond
	m := run(t, l)
	if !m.Incomplete() || m.Finding() != "No TLS 1.3 handshake completed." {
		t.Errorf("incomplete: %v, finding: %s", m.Incomplete(), m.Finding())
	}
}

func TestFindingCountsOnlyFailuresOverATicket(t *testing.T) {
	late := &handshake.Transcript{Completed: true, Messages: []handshake.Message{
		{From: handshake.Server, Type: handshake.TypeFinished}, {From: handshake.Client, Type: handshake.TypeFinished},
		{From: handshake.Server, Type: handshake.TypeNewSessionTicket},
	}, End: handshake.End{Kind: handshake.EndClosed, By: handshake.Client, After: 3}}
	other := &handshake.Transcript{End: handshake.End{Kind: handshake.EndAlert, By: handshake.Server}}
	m := &clientsim.Matrix{
		Clients: []clientsim.Client{{Name: "one"}, {Name: "two"}, {Name: "three"}},
		Servers: []clientsim.Server{
			{Tickets: clientsim.After, Cells: []clientsim.Cell{{Resumption: clientsim.Resumed}, {Outcome: probe.Failed, First: late}, {Outcome: probe.Failed, First: other}}},
			{Tickets: clientsim.After, Cells: []clientsim.Cell{{}, {Outcome: probe.Inconclusive, First: late}, {Outcome: probe.Failed}}},
		},
	}
	const want = "Of failures over session tickets alone: A ticket after the client's Finished, in a write of its own (2 servers) makes handshakes of two (at 1) fail; 1 client resumes."
	if got := m.Finding(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
