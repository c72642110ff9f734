package test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/testreport"
	"postern/sessionticket/strictclient"
)

// October 2024 by way of the mail: a strict client meets stock tickets, its sender's reports come signed, and
// the one about today is laid to the handshake, with the case. A forged correction of the day before changes nothing about what
// changed.
func TestASignedReportIsLaidToTheHandshakeThatFailed(t *testing.T) {
	microsoft, evil := testreport.NewSigner(t, "microsoft.test"), testreport.NewSigner(t, "evil.test")
	names := testreport.Resolver(t, microsoft.Record("s=tlsrpt;"), evil.Record(""))
	p := startReports(t, t.TempDir(), fmt.Sprintf("ticket-policy = \"stock\"\n[reports]\naddresses = [\"tls-reports@localhost\"]\nresolver = %q", names))
	today := time.Now().UTC().Truncate(24 * time.Hour)
	if _, err := deliverStrictly(p.addr, anyCertificate()); !errors.Is(err, strictclient.ErrEarlyTicket) {
		t.Fatalf("the strict client: %v", err)
	}
	p.awaitSessions(1)

	yesterdays := testreport.Report{Submitter: "microsoft.test", Domain: "localhost", ID: "1", Day: today.AddDate(0, 0, -1), Successful: 40}
	todays := testreport.Report{Submitter: "microsoft.test", Domain: "localhost", ID: "2", Day: today, Failed: 1, SendingMTA: "127.0.0.1"}
	for n, r := range []testreport.Report{yesterdays, todays} {
		if reply := p.deliver(t, reportMail(microsoft.Sign(t, r.Mail()))); reply.Code != 250 {
			t.Fatalf("report %d: %s", n+1, reply)
		}
		p.awaitReports(t, n+1)
	}
	explain := func() string {
		out, status := runPostern(t, "report", "explain", "2", "--offline", "--data", p.data)
		if status != 1 {
			t.Errorf("status %d", status)
		}
		return strings.Join(strings.Fields(out), " ")
	}
	told := explain()
	for _, want := range []string{
		"trusted: signed by microsoft.test",
		fmt.Sprintf("Until %s all sessions got in (1 report, 40 sessions); since %s no session got in.", yesterdays.Day.Format(time.DateOnly), today.Format(time.DateOnly)),
		"What failed looks like early-ticket (1×).", "sure certain", `With ticket-policy "stock" such a sender`, "https://github.com/golang/go/issues/70232",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not told in %s", want, told)
		}
	}

	forged := yesterdays
	forged.Successful, forged.Failed = 0, 7
	if reply := p.deliver(t, reportMail(evil.Sign(t, forged.Mail()))); reply.Code != 250 {
		t.Fatalf("the forged one: %s", reply)
	}
	p.awaitReports(t, 3)
	again := explain()
	before, _, found := strings.Cut(told, "seen ") // what follows counts the session that brought the forged one, too
	if !found || !strings.HasPrefix(again, before) {
		t.Errorf("a forged report changed\n%s\ninto\n%s", told, again)
	}
}
