package test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/testreport"
)

// reader returns a reader of a host's ledger.
func (p *postern) reader(t *testing.T) *ledger.Reader {
	t.Helper()
	reader, err := ledger.OpenReader(config.LedgerFile(p.data))
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

// outcomes returns what a host knows of all sessions, its own and the others'.
func (p *postern) outcomes(t *testing.T) (all []string) {
	t.Helper()
	reader, err := ledger.OpenReader(config.LedgerFile(p.data))
	if errors.Is(err, ledger.ErrNoLedger) { // it was deleted
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	handshakes, err := reader.Handshakes(t.Context(), ledger.Filter{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range handshakes {
		all = append(all, fmt.Sprintf("%s at %s", h.Outcome, h.Host))
	}
	slices.Sort(all)
	return all
}

// awaitOutcomes waits until hosts know of all sessions, each once.
func (f *fleet) awaitOutcomes(hosts []*postern, want ...string) {
	f.t.Helper()
	slices.Sort(want)
	for _, p := range hosts {
		eventually(f.t, func() error {
			if got := p.outcomes(f.t); !slices.Equal(got, want) {
				return fmt.Errorf("%s knows of %q, want %q", p.data, got, want)
			}
			return nil
		})
	}
}

// A sender fails at one host and delivers at the next. Each host shows both, and explains the failure.
func TestEveryHostShowsWhatAllSaw(t *testing.T) {
	f := startFleet(t, 3, 3, "--mode", "stock")
	session := regexp.MustCompile(`session=(\S+)`).FindStringSubmatch(f.hosts[0].meetEarlyTicket(visits()))[1]
	f.awaitMode(1, 0, "own-write")
	if _, err := deliverStrictly(f.hosts[1].addr, visits()); err != nil {
		t.Fatal(err)
	}
	f.awaitOutcomes(f.hosts, "failed at mx0", "full at mx1")
	for i, p := range f.hosts {
		for _, text := range []string{"NewSessionTicket ← before the client's Finished", "https://github.com/golang/go/issues/70232"} {
			if err := checkOutput(t, text, "handshakes", "show", session, "--data", p.data); err != nil {
				t.Errorf("mx%d: %v", i, err)
			}
		}
		if err := checkOutput(t, "strict.test", "senders", "--data", p.data); err != nil {
			t.Errorf("mx%d: %v", i, err)
		}
	}
	if stored := f.stored(); strings.Contains(stored, "strict.test") || strings.Contains(stored, "mx0.") {
		t.Error("NATS has stored events in clear")
	}
}

// Whatever is away for a while, a host, NATS or both, in the end all hosts know of all sessions.
func TestNoEventIsLost(t *testing.T) {
	f := startFleet(t, 1, 2)
	deliver := func(host int) {
		t.Helper()
		if _, err := deliverStrictly(f.hosts[host].addr, visits()); err != nil {
			t.Fatal(err)
		}
	}
	deliver(0)
	f.awaitOutcomes(f.hosts, "full at mx0")

	f.hosts[1].terminate()
	deliver(0)
	f.awaitOutcomes(f.hosts[:1], "full at mx0", "full at mx0")
	f.hosts[1] = f.startHost("mx1", f.hosts[1].data, f.secret)
	f.awaitOutcomes(f.hosts, "full at mx0", "full at mx0")

	f.nats[0].Kill()
	f.hosts[0].await(0, `msg="fleet unreachable`)
	deliver(0)
	f.awaitOutcomes(f.hosts[:1], "full at mx0", "full at mx0", "full at mx0")
	f.hosts[0].kill()
	deliver(1)
	f.nats[0].Start()
	f.hosts[0] = f.startHost("mx0", f.hosts[0].data, f.secret)
	f.awaitOutcomes(f.hosts, "full at mx0", "full at mx0", "full at mx0", "full at mx1")
	for i, p := range f.hosts {
		if n := p.log.count("fleet events missed"); n > 0 {
			t.Errorf("mx%d says that it missed events", i)
		}
	}
}

// A host whose ledger is lost shows again what it saw itself, and what the others saw; they count nothing twice.
func TestHostGetsBackWhatItsLostLedgerHad(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1, 2)
	for i := range f.hosts {
		if _, err := f.delivers(i, "", visits()); err != nil {
			t.Fatal(err)
		}
	}
	f.awaitOutcomes(f.hosts, "full at mx0", "full at mx1")
	f.hosts[0].terminate()
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(config.LedgerFile(f.hosts[0].data) + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	f.nats[0].Kill()
	f.hosts[0] = f.startHost("mx0", f.hosts[0].data, f.secret)
	if _, err := f.delivers(0, "", visits()); err != nil {
		t.Fatal(err)
	}
	f.awaitOutcomes(f.hosts[:1], "full at mx0")
	f.nats[0].Start()
	f.awaitOutcomes(f.hosts, "full at mx0", "full at mx0", "full at mx1")
	f.hosts[0].terminate()
	f.hosts[0] = f.startHost("mx0", f.hosts[0].data, f.secret)
	if _, err := f.delivers(1, "", visits()); err != nil {
		t.Fatal(err)
	}
	f.awaitOutcomes(f.hosts, "full at mx0", "full at mx0", "full at mx1", "full at mx1")

	if err := os.Remove(config.LedgerFile(f.hosts[1].data)); err != nil { // while it runs
		t.Fatal(err)
	}
	f.hosts[1].await(0, "ledger file removed or replaced; using what is at its path")
	if _, err := f.delivers(0, "", visits()); err != nil {
		t.Fatal(err)
	}
	f.awaitOutcomes(f.hosts, "full at mx0", "full at mx0", "full at mx0", "full at mx1", "full at mx1")
}

// Hosts and NATS are killed again and again, wherever they are in storing, publishing and taking. In the
// end both hosts know the same sessions, each once.
func TestHostsKnowTheSameHoweverOftenTheyAreKilled(t *testing.T) {
	if os.Getenv("POSTERN_LONG") != "1" {
		t.Skip("only with POSTERN_LONG=1")
	}
	f := startFleet(t, 1, 2)
	sessions := func(p *postern) (all []string) {
		reader := p.reader(t)
		defer reader.Close()
		handshakes, err := reader.Handshakes(t.Context(), ledger.Filter{Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range handshakes {
			all = append(all, fmt.Sprint(h.Session, " ", h.Host, " ", h.Outcome))
		}
		slices.Sort(all)
		return all
	}
	for range 20 {
		var delivering sync.WaitGroup
		for _, p := range f.hosts {
			n := rand.IntN(200) // up to a second or two
			delivering.Go(func() {
				for i := range n { // from many networks, because of their limits
					if _, err := deliverStrictlyAs("strict.test", fmt.Sprintf("127.%d.%d.1", i%20, i%200), p.addr, visits()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		delivering.Wait()
		switch i := rand.IntN(3); i {
		case 2:
			f.nats[0].Kill()
			f.nats[0].Start()
		default:
			f.hosts[i].kill()
			f.hosts[i] = f.startHost(fmt.Sprintf("mx%d", i), f.hosts[i].data, f.secret)
		}
	}
	eventually(t, func() error {
		one, other := sessions(f.hosts[0]), sessions(f.hosts[1])
		if n := len(slices.Compact(slices.Clone(one))); n != len(one) {
			t.Fatalf("mx0 knows %d sessions twice", len(one)-n)
		}
		if !slices.Equal(one, other) || len(one) == 0 {
			return fmt.Errorf("mx0 knows %d sessions, mx1 %d", len(one), len(other))
		}
		return nil
	})
	for i, p := range f.hosts {
		if n := p.log.count("fleet events missed"); n > 0 {
			t.Errorf("mx%d says that it missed events", i)
		}
	}
}

// Reports that hosts accept by mail, POST and from a file while NATS is away are at all hosts in the end, also
// if the hosts are killed right after. One that came to two hosts is one report, of that which had it first.
func TestReportIsCountedOnceInAFleet(t *testing.T) {
	f := startFleet(t, 1, 0)
	f.more = "[web]\nlisten = [\"127.0.0.1:0\"]\n[reports]\naddresses = [\"tls-reports@localhost\"]\ndelivery = \"only\"\npath = \"/tls-reports\"\nresolver = \"127.0.0.1:1\"\n"
	for i := range 3 {
		f.hosts = append(f.hosts, f.startHost(fmt.Sprintf("mx%d", i), t.TempDir(), f.secret))
		f.hosts[i].await(0, `msg="fleet connected"`)
	}
	f.nats[0].Kill()
	yesterday := time.Now().Add(-24 * time.Hour)
	report := func(id string) testreport.Report {
		return testreport.Report{Submitter: "sender.test", Domain: "localhost", ID: id, Day: yesterday, Failed: 1}
	}
	if status := f.hosts[0].post(t, "application/tlsrpt+json", []byte(report("first").JSON())); status != http.StatusCreated {
		t.Fatalf("the status of a POST is %d", status)
	}
	for i, id := range []string{"second", "first"} {
		if reply := f.hosts[i].deliver(t, reportMail(report(id).Mail())); reply.Code != 250 {
			t.Fatalf("the reply to a report is %s", reply)
		}
		f.hosts[i].kill()
	}
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, []byte(report("third").JSON()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status := runPostern(t, "report", "add", "--data", f.hosts[2].data, file); status != 0 {
		t.Fatalf("postern report add: %s", out)
	}
	f.nats[0].Start()
	for i := range 2 {
		f.hosts[i] = f.startHost(fmt.Sprintf("mx%d", i), f.hosts[i].data, f.secret)
	}
	for i, p := range f.hosts {
		eventually(t, func() error {
			reader := p.reader(t)
			defer reader.Close()
			reports, err := reader.Reports(t.Context(), ledger.ReportFilter{})
			if err != nil {
				return err
			}
			var got []string
			for _, r := range reports {
				got = append(got, r.ReportID+" at "+r.Host)
			}
			if slices.Sort(got); !slices.Equal(got, []string{"first at mx0", "second at mx0", "third at mx2"}) {
				return fmt.Errorf("mx%d has the reports %q", i, got)
			}
			return nil
		})
	}
}
