package test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/testdisk"
	"postern/internal/testreport"
	"postern/internal/testsmtp"
)

// Only a report signed by its submitter is verified. Others that claim to be from that
// submitter, by mail or by POST, are stored as unverified and change nothing about it.
func TestReportsAreVerifiedBySignatureOnly(t *testing.T) {
	microsoft, evil := testreport.NewSigner(t, "microsoft.test"), testreport.NewSigner(t, "evil.test")
	names := testreport.Resolver(t, microsoft.KeyRecord("s=tlsrpt;"), evil.KeyRecord("s=tlsrpt;"))
	p := startReports(t, t.TempDir(), fmt.Sprintf("[reports]\naddresses = [\"TLS-Reports@localhost\"]\npath = \"/tls-reports\"\nresolver = %q", names))

	text := microsoft.Sign(t, october.Mail())
	if reply := p.deliver(t, reportMail(text)); reply.Code != 250 {
		t.Fatalf("reply to the report: %s", reply)
	}
	p.awaitReports(t, 1)
	if stored := p.maildir().messages(t); len(stored) != 1 || !strings.HasSuffix(string(stored[0]), strings.ReplaceAll(text, "\r\n", "\n")) {
		t.Errorf("the next hop has %d messages, want the report unchanged", len(stored))
	}
	forged := october
	forged.Failed, forged.Successful = 0, 27
	if reply := p.deliver(t, reportMail(evil.Sign(t, forged.Mail()))); reply.Code != 250 {
		t.Errorf("reply to the forged report: %s", reply)
	}
	p.awaitReports(t, 2)
	forged.Successful = 28
	if reply := p.deliver(t, reportMail(forged.Mail())); reply.Code != 250 {
		t.Errorf("reply to the unsigned report: %s", reply)
	}
	p.awaitReports(t, 3)
	forged.Successful = 29
	if status := p.post(t, "application/tlsrpt+json", []byte(forged.JSON())); status != http.StatusCreated {
		t.Errorf("status of the POST: %d", status)
	}
	if status := p.post(t, "application/tlsrpt+json", []byte(october.JSON())); status != http.StatusOK {
		t.Errorf("status of a known report: %d", status)
	}
	if reply := p.deliver(t, reportMail(text)); reply.Code != 250 {
		t.Errorf("reply to the same report: %s", reply)
	}
	kept := p.awaitReports(t, 6) // of which two were known
	if len(kept) != 4 {
		t.Fatalf("%d reports are stored, want 4: %+v", len(kept), kept)
	}
	for i, want := range []storedReport{
		{Via: "mail", Verified: true, Signer: "microsoft.test", Submitter: "microsoft.test", Failed: 27},
		{Via: "mail", Signer: "evil.test", Submitter: "microsoft.test"},
		{Via: "mail", Submitter: "microsoft.test"},
		{Via: "https"},
	} {
		got := kept[i]
		if got.Via != want.Via || got.Verified != want.Verified || got.Signer != want.Signer || got.Submitter != want.Submitter || got.Failed != want.Failed || got.ReportID != october.ID {
			t.Errorf("report %d is %+v, want %+v", i+1, got, want)
		}
	}
	out, _ := runPostern(t, "report", "summary", "--json", "--since", "2024-10-01", "--data", p.data)
	if want := `{"submitter":"microsoft.test","verified":true,"day":"2024-10-24","reports":1,"successful":0,"failed":27,"detailed":27}` + "\n"; !strings.HasPrefix(out, want) {
		t.Errorf("the summary is\n%s\nwant it to begin with\n%s", out, want)
	}
}

// With delivery = "only" no one else has the report: 250 means that it survives a crash,
// and with a full disk the reply is 4xx.
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
				t.Fatalf("reply to report %d: %s", sent, reply)
			}
			sent++
		}
		p.kill()
		if kept := p.reports(t); len(kept) != sent {
			t.Fatalf("%d reports are stored of %d acknowledged", len(kept), sent)
		}
		if stored := p.maildir().messages(t); len(stored) != 0 {
			t.Errorf("the next hop has %d messages, want none", len(stored))
		}
	}
}

func TestFullDiskDefersReportsAndLosesNone(t *testing.T) {
	p := startReports(t, testdisk.Mount(t, "size=4m"), "[reports]\naddresses = [\"tls-reports@localhost\"]\ndelivery = \"only\"\npath = \"/tls-reports\"")
	if reply := p.deliver(t, reportMail(october.Mail())); reply.Code != 250 {
		t.Fatalf("before: %s", reply)
	}
	filler := filepath.Join(p.data, "filler")
	os.WriteFile(filler, make([]byte, 8<<20), 0o600) // until the disk is full
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
		t.Errorf("status of a POST: %d, want 503", status)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if reply := p.deliver(t, reportMail(r.Mail())); reply.Code != 250 {
			return fmt.Errorf("after freeing space: %s", reply)
		}
		return nil
	})
	if kept := p.reports(t); len(kept) != acked+1 {
		t.Errorf("%d reports are stored, %d were acknowledged", len(kept), acked+1)
	}
}

// A hostile report gets its reply, and does not affect mail.
func TestHostileReportsDoNotAffectMail(t *testing.T) {
	p := startReports(t, t.TempDir(), "[reports]\naddresses = [\"tls-reports@localhost\"]\ndelivery = \"only\"\npath = \"/tls-reports\"\nresolver = \"127.0.0.1:1\"\n"+
		"[limits.network]\nhandshakes = \"4000/s\"") // the load is of one address, which may do a quarter of that
	l := startLoad(p.addr, "beside", 2, 4<<10)
	l.awaitFirst()
	parts := "From: a@b.test\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" + strings.Repeat("--x\r\n\r\n{}\r\n", 1000) + "--x--\r\n"
	for name, tt := range map[string]struct {
		text string
		code int
	}{
		"a gzip bomb":          {october.MailWith("application/tlsrpt+gzip", gzipBomb(256<<20)), 552},
		"JSON of depth 10,000": {october.MailWith("application/tlsrpt+json", []byte(strings.Repeat(`{"policies":[`, 10_000))), 552},
		"1,000 parts":          {parts, 550},
		"parts in parts":       {nested(1000), 552},
		"the year 9999":        {october.MailWith("application/tlsrpt+json", []byte(strings.ReplaceAll(october.JSON(), "2024-", "9999-"))), 250},
		"negative counts":      {october.MailWith("application/tlsrpt+json", []byte(strings.ReplaceAll(october.JSON(), `count":27`, `count":-27`))), 250},
		"huge counts":          {october.MailWith("application/tlsrpt+json", []byte(strings.ReplaceAll(october.JSON(), `count":27`, `count":1e300`))), 250},
		"control characters":   {october.MailWith("application/tlsrpt+json", []byte(strings.ReplaceAll(october.JSON(), "validation-failure", `\u001b[2J\u009b`))), 250},
		"an invalid signature": {"DKIM-Signature: " + strings.Repeat("v=1; ", 1<<10) + "\r\n" + october.Mail(), 250},
		"no report":            {"Subject: hello\r\n\r\nhello\r\n", 550},
	} {
		if reply := p.deliver(t, reportMail(tt.text)); reply.Code != tt.code {
			t.Errorf("%s: %s, want %d", name, reply, tt.code)
		}
	}
	for _, r := range p.reports(t) {
		if len(r.Warnings) == 0 || r.Verified {
			t.Errorf("report %d has no warning, verified: %v", r.Report, r.Verified)
		}
	}
	for _, command := range []string{"list", "summary"} {
		out, _ := runPostern(t, "report", command, "--since", "2000-01-01", "--data", p.data)
		if strings.ContainsAny(out, "\x1b\x07\x00\u009b") {
			t.Errorf("report %s prints control characters: %q", command, out)
		}
	}
	answers, began := make(map[int]int), time.Now()
	for n := 0; n < 1000 && answers[http.StatusTooManyRequests] == 0; n++ {
		r := october
		r.ID = fmt.Sprint("flood", n)
		answers[p.post(t, "application/tlsrpt+json", []byte(r.JSON()))]++
	}
	accepted := answers[http.StatusCreated]
	if most := 11 + int(time.Since(began).Seconds()); accepted == 0 || accepted > most || answers[http.StatusTooManyRequests] == 0 {
		t.Errorf("statuses of POSTs of one address, which may send ten and one a second: %v", answers)
	}
	l.end()
	checkStored(t, l.wait(t), p.maildir().take(t))
}

// Three networks have mails to the report address under way that do not end, as large as they may
// be and more than there is room for. A signed report arrives, and is stored as verified.
func TestSlowReportMailsLeaveRoomForAnotherNetwork(t *testing.T) {
	microsoft := testreport.NewSigner(t, "microsoft.test")
	names := testreport.Resolver(t, microsoft.KeyRecord("s=tlsrpt;"))
	p := startReports(t, t.TempDir(), fmt.Sprintf("[reports]\naddresses = [\"tls-reports@localhost\"]\ndelivery = \"only\"\nresolver = %q", names))
	var slow sync.WaitGroup
	for n := range 12 {
		from := net.IPv4(127, byte(1+n%3), 0, byte(1+n))
		slow.Go(func() { sendSlowReport(t, p.addr, from, 11<<20) })
	}
	slow.Wait()
	if reply := p.deliver(t, reportMail(microsoft.Sign(t, october.Mail()))); reply.Code != 250 {
		t.Errorf("reply to the report: %s", reply)
	}
	if stored := p.awaitReports(t, 1); len(stored) != 1 || !stored[0].Verified {
		t.Errorf("stored: %+v", stored)
	}
}

// sendSlowReport sends a mail to the report address up to so many bytes, and leaves it so until
// the test ends. The server may refuse the rest.
func sendSlowReport(t *testing.T, to string, from net.IP, size int) {
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { conn.Close() })
	replies := bufio.NewScanner(conn)
	for _, line := range []string{"", "HELO a\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<tls-reports@localhost>\r\n", "DATA\r\n"} {
		io.WriteString(conn, line)
		if !replies.Scan() || replies.Text() > "4" {
			t.Errorf("%q after %q", replies.Text(), line)
			return
		}
	}
	io.WriteString(conn, "From: tlsrpt@microsoft.test\r\n\r\n"+strings.Repeat(strings.Repeat("x", 78)+"\r\n", size/80))
}

// The configuration in docs/tls-reports.md works as described. Only the domain and the port
// are replaced.
func TestRecipeForReports(t *testing.T) {
	config := recipe(t, "tls-reports.md", "Receiving reports", "/etc/postern/postern.toml")
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
	if out, status := runPostern(t, "report", "add", "--data", p.data, filepath.Join(p.data, "maildir")); status != 0 || !strings.Contains(out, "already stored as report 1") {
		t.Errorf("by hand: %d, %s", status, out)
	}
}

// Reports are not passed to the next hop, and mail on the same connection is.
func TestReportsAndMailShareASession(t *testing.T) {
	backend := startBackend(t)
	config := "[reports]\naddresses = [\"tls-reports@localhost\"]\ndelivery = \"only\""
	p := startReports(t, t.TempDir(), fmt.Sprintf("next-hop = %q\n", "smtp://"+backend.addr)+config)
	c, err := testsmtp.DialTLS(p.addr, "", testsmtp.OpportunisticTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := range 3 {
		r := october
		r.ID = fmt.Sprint(n)
		if reply, err := c.Deliver(reportMail(r.Mail())); err != nil || reply.Code != 250 {
			t.Fatalf("report %d: %s, %v", n, reply, err)
		}
		if reply, err := c.Deliver(newMessage(fmt.Sprint("message", n), 0)); err != nil || reply.Code != 250 || !backend.has(fmt.Sprint("message", n)) {
			t.Fatalf("message %d: %s, %v", n, reply, err)
		}
	}
	if kept := p.reports(t); len(kept) != 3 {
		t.Errorf("%d reports are stored, want 3", len(kept))
	}
}

// A strict client's handshake fails in mode stock. Its sender's report about today is
// signed, and is matched to that handshake, with the case. A forged correction of
// yesterday's report changes nothing.
func TestSignedReportIsMatchedToFailedHandshake(t *testing.T) {
	microsoft, evil := testreport.NewSigner(t, "microsoft.test"), testreport.NewSigner(t, "evil.test")
	names := testreport.Resolver(t, microsoft.KeyRecord("s=tlsrpt;"), evil.KeyRecord(""))
	p := startReports(t, t.TempDir(), fmt.Sprintf("mode = \"stock\"\n[reports]\naddresses = [\"tls-reports@localhost\"]\nresolver = %q", names))
	today := loggedAt(t, p.meetEarlyTicket(testsmtp.OpportunisticTLS())).Truncate(24 * time.Hour)

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
	first := explain()
	// A single close is no more than possible evidence: the certificate is self-signed, and a
	// client that verifies it closes in the same way.
	for _, want := range []string{
		"verified: signed by microsoft.test",
		fmt.Sprintf("Until %s all sessions succeeded (1 report, 40 sessions); since %s all sessions failed.", yesterdays.Day.Format(time.DateOnly), today.Format(time.DateOnly)),
		"The failures match early-ticket (1×).", "confidence possible", `In mode "stock" such a sender`, "https://github.com/golang/go/issues/70232",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in %s", want, first)
		}
	}

	forged := yesterdays
	forged.Successful, forged.Failed = 0, 7
	if reply := p.deliver(t, reportMail(evil.Sign(t, forged.Mail()))); reply.Code != 250 {
		t.Fatalf("reply to the forged report: %s", reply)
	}
	p.awaitReports(t, 3)
	again := explain()
	before, _, found := strings.Cut(first, "activity ") // what follows also counts the session of the forged report
	if !found || !strings.HasPrefix(again, before) {
		t.Errorf("a forged report changed\n%s\ninto\n%s", first, again)
	}
}

// october is the report behind https://go.dev/issue/70232.
var october = testreport.Report{
	Submitter: "microsoft.test", Domain: "localhost", ID: "133742101483291477+localhost",
	Day: time.Date(2024, 10, 24, 0, 0, 0, 0, time.UTC), Failed: 27,
}

// startReports starts a postern that accepts reports, with more configuration.
func startReports(t *testing.T, data, more string) *postern {
	t.Helper()
	file := filepath.Join(t.TempDir(), "postern.toml")
	content := more + "\n[web]\nlisten = [\"127.0.0.1:0\"]\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return startWith(t, data, "--config", file)
}

func reportMail(text string) testsmtp.Message {
	return testsmtp.Message{From: "tlsrpt@microsoft.test", To: []string{"tls-reports@localhost"}, Text: text}
}

// A storedReport is one of postern report list --json.
type storedReport struct {
	Report    int64
	Via       string
	Verified  bool
	Signer    string
	Submitter string
	ReportID  string `json:"report_id"`
	Failed    int64
	Versions  int64
	Warnings  []string
}

// reports returns the stored reports, in the order in which they arrived.
func (p *postern) reports(t *testing.T) (all []storedReport) {
	t.Helper()
	out, status := runPostern(t, "report", "list", "--json", "--since", "2000-01-01", "--limit", "10000", "--data", p.data)
	if status != 0 {
		t.Fatal(out)
	}
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var r storedReport
		if err := decoder.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		all = append(all, r)
	}
	byID := make([]storedReport, len(all))
	for _, r := range all {
		byID[r.Report-1] = r
	}
	return byID
}

// awaitReports waits until n reports are stored.
func (p *postern) awaitReports(t *testing.T, n int) []storedReport {
	t.Helper()
	if err := p.log.awaitCount(n, "TLS report stored"); err != nil {
		t.Fatal(err)
	}
	return p.reports(t)
}

// post sends a body to the web listener and returns the status.
func (p *postern) post(t *testing.T, kind string, body []byte) int {
	t.Helper()
	addr := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindString(p.await(0, "(HTTPS)"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Post("https://"+addr+"/tls-reports", kind, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// gzipBomb returns size zeros, compressed.
func gzipBomb(size int64) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	block := make([]byte, 1<<20)
	for range size >> 20 {
		z.Write(block)
	}
	z.Close()
	return b.Bytes()
}

// nested returns a mail with multiparts nested to a depth.
func nested(depth int) string {
	var b strings.Builder
	for n := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", n, n)
	}
	return b.String()
}
