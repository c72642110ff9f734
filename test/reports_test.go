package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/testdisk"
	"postern/internal/testreport"
)

// Only who signs for the submitter is believed. Whoever else claims to be Microsoft, by
// mail or by POST, adds a row that says so, and changes nothing about the other.
func TestReportsAreTrustedBySignatureAlone(t *testing.T) {
	microsoft, evil := testreport.NewSigner(t, "microsoft.test"), testreport.NewSigner(t, "evil.test")
	names := testreport.Resolver(t, microsoft.Record("s=tlsrpt;"), evil.Record("s=tlsrpt;"))
	p := startReports(t, t.TempDir(), fmt.Sprintf("[reports]\naddresses = [\"TLS-Reports@localhost\"]\npath = \"/tls-reports\"\nresolver = %q", names))

	text := microsoft.Sign(t, october.Mail())
	if reply := p.deliver(t, reportMail(text)); reply.Code != 250 {
		t.Fatalf("the report was answered %s", reply)
	}
	p.awaitReports(t, 1)
	if stored := p.maildir().messages(t); len(stored) != 1 || !strings.HasSuffix(string(stored[0]), strings.ReplaceAll(text, "\r\n", "\n")) {
		t.Errorf("the next hop has %d messages, want the report's as it came", len(stored))
	}
	forged := october
	forged.Failed, forged.Successful = 0, 27
	if reply := p.deliver(t, reportMail(evil.Sign(t, forged.Mail()))); reply.Code != 250 {
		t.Errorf("the forged one was answered %s", reply)
	}
	p.awaitReports(t, 2)
	forged.Successful = 28
	if reply := p.deliver(t, reportMail(forged.Mail())); reply.Code != 250 {
		t.Errorf("the unsigned one was answered %s", reply)
	}
	p.awaitReports(t, 3)
	forged.Successful = 29
	if status := p.post(t, "application/tlsrpt+json", []byte(forged.JSON())); status != http.StatusCreated {
		t.Errorf("the POSTed one was answered %d", status)
	}
	if status := p.post(t, "application/tlsrpt+json", []byte(october.JSON())); status != http.StatusOK {
		t.Errorf("one that is known was answered %d", status)
	}
	if reply := p.deliver(t, reportMail(text)); reply.Code != 250 {
		t.Errorf("the report again was answered %s", reply)
	}
	kept := p.awaitReports(t, 6) // of which two were known
	if len(kept) != 4 {
		t.Fatalf("%d reports are kept, want 4: %+v", len(kept), kept)
	}
	for i, want := range []keptReport{
		{Via: "mail", Trusted: true, Signer: "microsoft.test", Submitter: "microsoft.test", Failed: 27},
		{Via: "mail", Signer: "evil.test", Submitter: "microsoft.test"},
		{Via: "mail", Submitter: "microsoft.test"},
		{Via: "https"},
	} {
		got := kept[i]
		if got.Via != want.Via || got.Trusted != want.Trusted || got.Signer != want.Signer || got.Submitter != want.Submitter || got.Failed != want.Failed || got.ReportID != october.ID {
			t.Errorf("report %d is %+v, want %+v", i+1, got, want)
		}
	}
	out, _ := runPostern(t, "report", "summary", "--json", "--since", "2024-10-01", "--data", p.data)
	if want := `{"submitter":"microsoft.test","trusted":true,"day":"2024-10-24","reports":1,"successful":0,"failed":27}` + "\n"; !strings.HasPrefix(out, want) {
		t.Errorf("the summary is\n%s\nwant it to begin with\n%s", out, want)
	}
}

// With delivery = "only" nobody else has the report: 250 means that it outlives a crash, and a full
// disk is a 4xx.
func TestNoAcknowledgedReportIsLost(t *testing.T) {
	data := t.TempDir()
	config := "[reports]\naddresses = [\"tls-reports@localhost\"]\ndelivery = \"only\"\nresolver = \"127.0.0.1:1\""
	sent := 0
	for range 5 {
		p := startReports(t, data, config)
		for range 3 {
			r := october
			r.ID = fmt.Sprint(sent)
			if reply := p.deliver(t, reportMail(r.Mail())); reply.Code != 250 {
				t.Fatalf("report %d was answered %s", sent, reply)
			}
			sent++
		}
		p.kill()
		if kept := p.reports(t); len(kept) != sent {
			t.Fatalf("%d reports are kept of %d that were acknowledged", len(kept), sent)
		}
		if stored := p.maildir().messages(t); len(stored) != 0 {
			t.Errorf("the next hop has %d messages, want none", len(stored))
		}
	}
}

func TestAFullDiskRefusesReportsAndLosesNone(t *testing.T) {
	p := startReports(t, testdisk.Mount(t, "size=4m"), "[reports]\naddresses = [\"tls-reports@localhost\"]\ndelivery = \"only\"\npath = \"/tls-reports\"")
	if reply := p.deliver(t, reportMail(october.Mail())); reply.Code != 250 {
		t.Fatalf("before: %s", reply)
	}
	filler := filepath.Join(p.data, "filler")
	os.WriteFile(filler, make([]byte, 8<<20), 0o600) // as much as there is room
	r := october
	acked := 1
	for n := range 200 {
		r.ID = fmt.Sprintf("%d-%s", n, strings.Repeat("long ", 2000))
		reply := p.deliver(t, reportMail(r.Mail()))
		if reply.Code == 451 {
			break
		}
		if acked++; reply.Code != 250 || n == 199 {
			t.Fatalf("report %d with a full disk: %s", n, reply)
		}
	}
	if status := p.post(t, "application/tlsrpt+json", []byte(r.JSON())); status != http.StatusServiceUnavailable {
		t.Errorf("a POST was answered %d, want 503", status)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if reply := p.deliver(t, reportMail(r.Mail())); reply.Code != 250 {
			return fmt.Errorf("with room again: %s", reply)
		}
		return nil
	})
	if kept := p.reports(t); len(kept) != acked+1 {
		t.Errorf("%d reports are kept, %d were acknowledged", len(kept), acked+1)
	}
}

// What no report is made of costs its sender a reply, and nobody else anything.
func TestHostileReportsHarmNoMail(t *testing.T) {
	p := startReports(t, t.TempDir(), "[reports]\naddresses = [\"tls-reports@localhost\"]\ndelivery = \"only\"\npath = \"/tls-reports\"\nresolver = \"127.0.0.1:1\"")
	l := startLoad(p.addr, "beside", 2, 4<<10)
	l.awaitFirst()
	parts := "From: a@b.test\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" + strings.Repeat("--x\r\n\r\n{}\r\n", 1000) + "--x--\r\n"
	for name, tt := range map[string]struct {
		text string
		code int
	}{
		"a gzip bomb":             {october.MailOf("application/tlsrpt+gzip", bomb(256<<20)), 552},
		"JSON of depth 10,000":    {october.MailOf("application/tlsrpt+json", []byte(strings.Repeat(`{"policies":[`, 10_000))), 552},
		"1,000 parts":             {parts, 550},
		"parts in parts":          {nested(1000), 552},
		"the year 9999":           {october.MailOf("application/tlsrpt+json", []byte(strings.ReplaceAll(october.JSON(), "2024-", "9999-"))), 250},
		"negative counts":         {october.MailOf("application/tlsrpt+json", []byte(strings.ReplaceAll(october.JSON(), `count":27`, `count":-27`))), 250},
		"huge counts":             {october.MailOf("application/tlsrpt+json", []byte(strings.ReplaceAll(october.JSON(), `count":27`, `count":1e300`))), 250},
		"control characters":      {october.MailOf("application/tlsrpt+json", []byte(strings.ReplaceAll(october.JSON(), "validation-failure", `\u001b[2J\u009b`))), 250},
		"a signature in disorder": {"DKIM-Signature: " + strings.Repeat("v=1; ", 1<<10) + "\r\n" + october.Mail(), 250},
		"no report":               {"Subject: hello\r\n\r\nhello\r\n", 550},
	} {
		if reply := p.deliver(t, reportMail(tt.text)); reply.Code != tt.code {
			t.Errorf("%s: %s, want %d", name, reply, tt.code)
		}
	}
	for _, r := range p.reports(t) {
		if len(r.Warnings) == 0 || r.Trusted {
			t.Errorf("report %d has no warning, trusted: %v", r.Report, r.Trusted)
		}
	}
	for _, command := range []string{"list", "summary"} {
		out, _ := runPostern(t, "report", command, "--since", "2000-01-01", "--data", p.data)
		if strings.ContainsAny(out, "\x1b\x07\x00\u009b") {
			t.Errorf("report %s prints control characters: %q", command, out)
		}
	}
	answers := make(map[int]int)
	for n := range 40 {
		r := october
		r.ID = fmt.Sprint("flood", n)
		answers[p.post(t, "application/tlsrpt+json", []byte(r.JSON()))]++
	}
	if answers[http.StatusTooManyRequests] < 20 || answers[http.StatusCreated] == 0 {
		t.Errorf("40 POSTs were answered %v", answers)
	}
	l.end()
	balance(t, l.wait(t), p.maildir().take(t))
}

// The recipe of docs/operating.md does what it says. Only the domain and the port are
// replaced in it.
func TestRecipeForReports(t *testing.T) {
	config := recipe(t, "Taking reports in", "/etc/postern/postern.toml")
	config = strings.NewReplacer("example.org", "localhost", ":443", "127.0.0.1:0").Replace(config)
	file := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", file)
	if reply := p.deliver(t, reportMail(october.Mail())); reply.Code != 250 {
		t.Errorf("by mail: %s", reply)
	}
	p.awaitReports(t, 1)
	other := october
	other.ID = "other"
	if status := p.post(t, "application/tlsrpt+json", []byte(other.JSON())); status != http.StatusCreated {
		t.Errorf("by POST: %d", status)
	}
	if out, status := runPostern(t, "report", "add", "--data", p.data, filepath.Join(p.data, "maildir")); status != 0 || !strings.Contains(out, "report 1 was here already") {
		t.Errorf("by hand: %d, %s", status, out)
	}
}

// The next hop never hears of a report, and its session goes on.
func TestReportsAndMailShareASession(t *testing.T) {
	backend := startBackend(t)
	config := "[reports]\naddresses = [\"tls-reports@localhost\"]\ndelivery = \"only\""
	p := startReports(t, t.TempDir(), fmt.Sprintf("next-hop = %q\n", "smtp://"+backend.addr)+config)
	c, err := connectTLS(p.addr, "", anyCertificate())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for n := range 3 {
		r := october
		r.ID = fmt.Sprint(n)
		if reply, err := c.deliver(reportMail(r.Mail())); err != nil || reply.Code != 250 {
			t.Fatalf("report %d: %s, %v", n, reply, err)
		}
		if reply, err := c.deliver(newLetter(fmt.Sprint("letter", n), 0)); err != nil || reply.Code != 250 || !backend.has(fmt.Sprint("letter", n)) {
			t.Fatalf("letter %d: %s, %v", n, reply, err)
		}
	}
	if kept := p.reports(t); len(kept) != 3 {
		t.Errorf("%d reports are kept, want 3", len(kept))
	}
}
