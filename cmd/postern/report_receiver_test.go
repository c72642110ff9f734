package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/internal/terminal"
	"postern/internal/testcert"
	"postern/internal/testsmtp"
	"postern/internal/testzone"
	"postern/internal/tlsrptexplain"
	"postern/sessionticket/strictclient"
	"postern/tlsrpt"
)

// A receiver is a postern serve for receiver.example, its DNS zones and MTA-STS policy, for
// stories in which senders connect, a report comes, and is explained.
type receiver struct {
	t        *testing.T
	data     string
	addr     string
	pair     *testcert.Pair
	records  []string // of receiver.example
	policy   string
	secure   bool
	stop     func()
	sessions int // ended
	log      *liveOutput
}

const (
	ourHost   = "mx.receiver.example"
	ourDomain = "receiver.example"
)

// startReceiver starts postern serve with a certificate and more flags.
func startReceiver(t *testing.T, pair *testcert.Pair, flags ...string) (*receiver, error) {
	r := &receiver{
		t: t, data: t.TempDir(), pair: pair, secure: true,
		policy: "version: STSv1\nmode: enforce\nmx: mx.receiver.example\nmax_age: 1209600\n",
		records: []string{
			"receiver.example. MX 10 mx.receiver.example.", "mx.receiver.example. A 127.0.0.1",
			`_mta-sts.receiver.example. TXT "v=STSv1; id=1"`, `_smtp._tls.receiver.example. TXT "v=TLSRPTv1; rua=mailto:tls@receiver.example"`,
		},
		log: newLiveOutput(),
	}
	flags = append([]string{
		"serve", "--listen", "127.0.0.1:0", "--hostname", ourHost, "--domain", ourDomain, "--data", r.data, "--dashboard", "off", "--metrics", "off",
		"--cert", pair.CertFile, "--key", pair.KeyFile,
	}, flags...)
	server := exec.Command("postern", flags...)
	server.Env = append(os.Environ(), fastExit)
	out := newLiveOutput()
	server.Stdout, server.Stderr = out, r.log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- server.Wait() }()
	r.stop = func() {
		r.stop = func() {}
		server.Process.Signal(os.Interrupt)
		if err := <-over; err != nil {
			t.Errorf("postern serve: %v\n%s", err, r.log)
		}
	}
	t.Cleanup(func() { r.stop() })
	if err := out.until("Ctrl-C stops it.\n", over); err != nil {
		r.stop = func() {}
		return nil, fmt.Errorf("%w\n%s", err, r.log)
	}
	r.addr = listensOn.FindStringSubmatch(out.String())[1]
	return r, nil
}

// until waits for text, or for the program's end.
func (o *liveOutput) until(text string, over <-chan error) error {
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.more:
		case err := <-over:
			return fmt.Errorf("it ended: %w", err)
		case <-time.After(patience):
			return fmt.Errorf("%q did not come", text)
		}
	}
	return nil
}

func newCertificate(t *testing.T, life time.Duration) *testcert.Pair {
	return testcert.New(t, testcert.Options{Names: []string{ourHost, "mx2.receiver.example", "mta-sts.receiver.example"}, CA: testcert.NewCA(t), NotAfter: time.Now().Add(life)})
}

func mustStartReceiver(t *testing.T, flags ...string) *receiver {
	r, err := startReceiver(t, newCertificate(t, 24*time.Hour), flags...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// connect runs a client from an address and waits until the session has ended.
func (r *receiver) connect(from string, do func(net.Conn)) {
	r.t.Helper()
	c, err := testsmtp.Connect(r.addr, from)
	if err != nil {
		r.t.Fatal(err)
	}
	do(c.Conn)
	c.Close()
	r.sessions++
	deadline := time.After(patience)
	for strings.Count(r.log.String(), "msg=session") < r.sessions {
		select {
		case <-r.log.more:
		case <-deadline:
			r.t.Fatalf("%d sessions did not end:\n%s", r.sessions, r.log)
		}
	}
}

// strictClient is a client that refuses an early session ticket.
func (r *receiver) strictClient(name string) func(net.Conn) {
	return func(conn net.Conn) {
		config := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		if _, err := strictclient.StartTLS(conn, name, config); err == nil {
			r.t.Errorf("the handshake of %s completed", name)
		}
	}
}

// quitAfterHandshake is a client that checks the certificate after the handshake and
// quits, as Postfix does with DANE.
func (r *receiver) quitAfterHandshake(name string) func(net.Conn) {
	return func(conn net.Conn) {
		c := r.upToTLS(conn, name)
		if err := c.Handshake(&tls.Config{InsecureSkipVerify: true}); err != nil {
			r.t.Error(err)
		}
		if err := c.Commands("QUIT"); err != nil {
			r.t.Error(err)
		}
	}
}

// verifyCertificate is a client that rejects an expired certificate.
func (r *receiver) verifyCertificate(name string) func(net.Conn) {
	return func(conn net.Conn) {
		c := r.upToTLS(conn, name)
		if err := c.Handshake(&tls.Config{ServerName: ourHost, RootCAs: r.pair.Pool}); err == nil {
			r.t.Errorf("%s accepts the certificate", name)
		}
	}
}

// upToTLS speaks SMTP up to where the handshake begins.
func (r *receiver) upToTLS(conn net.Conn, name string) *testsmtp.Client {
	c := testsmtp.New(conn)
	if err := errors.Join(c.Expect("", 220), c.Commands("EHLO "+name, "STARTTLS")); err != nil {
		r.t.Error(err)
	}
	return c
}

// backdate stops the server and sets the times in its ledger: the first session began at
// begin, each other an hour after the one before.
func (r *receiver) backdate(begin time.Time) {
	r.t.Helper()
	r.stop()
	db, err := sql.Open("sqlite", config.LedgerFile(r.data))
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`UPDATE handshakes SET at = ? + 3600000 * (SELECT count(*) FROM handshakes AS o WHERE o.id < handshakes.id)`,
		`UPDATE diagnoses SET at = (SELECT at FROM handshakes WHERE id = handshake) + 0 * ?`,
	} {
		if _, err := db.Exec(statement, begin.UnixMilli()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// addReports stores reports, as signed by the submitter.
func (r *receiver) addReports(submitter string, reports ...*tlsrpt.Report) (last int64) {
	r.t.Helper()
	return r.store(ledger.Report{Verified: true, Signer: submitter, Verdict: "signed by " + submitter, Submitter: submitter}, reports...)
}

// addUnverified stores reports that name a submitter, and are not signed.
func (r *receiver) addUnverified(submitter string, reports ...*tlsrpt.Report) (last int64) {
	r.t.Helper()
	return r.store(ledger.Report{Verdict: "no DKIM signature", Submitter: submitter}, reports...)
}

func (r *receiver) store(origin ledger.Report, reports ...*tlsrpt.Report) (last int64) {
	r.t.Helper()
	for _, report := range reports {
		content, err := json.Marshal(report)
		if err != nil {
			r.t.Fatal(err)
		}
		stored := origin
		stored.At, stored.Via, stored.Organization, stored.ReportID = report.End.Add(8*time.Hour), ledger.ByMail, report.Organization, report.ID
		stored.Start, stored.End, stored.Domains, stored.Content = report.Start, report.End, []string{ourDomain}, content
		filed, err := ledger.AddReport(r.t.Context(), config.LedgerFile(r.data), stored)
		if err != nil {
			r.t.Fatal(err)
		}
		last = filed.ID
	}
	return last
}

// network serves the zones and the policy, and returns an Explainer that uses them.
func (r *receiver) network(others ...testzone.Zone) tlsrptexplain.Explainer {
	r.t.Helper()
	zones := testzone.Start(r.t, append([]testzone.Zone{{Name: "."}, {Name: "receiver.example.", Records: r.records}}, others...)...)
	zones.SetAD(r.secure)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, r.policy)
	}))
	fresh := newCertificate(r.t, 24*time.Hour)
	web.TLS = &tls.Config{Certificates: []tls.Certificate{fresh.TLS}}
	web.StartTLS()
	r.t.Cleanup(web.Close)
	prober := &probe.Prober{
		Port: uint16(netip.MustParseAddrPort(r.addr).Port()), Resolver: zones.Addr, RootCAs: r.pair.Pool, Personas: tlsrptexplain.Personas(),
		HTTP: &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: fresh.Pool},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, web.Listener.Addr().String())
			},
		}},
	}
	return tlsrptexplain.Explainer{Prober: prober, Resolver: prober.NetResolver()}
}

// volatile are ports and current times, whose digits differ between runs.
var volatile = regexp.MustCompile(`127\.0\.0\.1:\d+|_\d+\._tcp|20(2[5-9]|[3-9]\d)-\d+-\d+T\d+:\d+:\d+Z`)

func anyDigit(r rune) rune {
	if unicode.IsDigit(r) {
		return '0'
	}
	return r
}

// explain compares the explanation of a report with a golden file and returns the exit
// status.
func (r *receiver) explain(golden string, id int64, x tlsrptexplain.Explainer) terminal.ExitStatus {
	r.t.Helper()
	var out bytes.Buffer
	ui := terminal.UI{Command: "postern", Out: &out, Err: &out}
	cmd := reportExplainCmd{reportArg: reportArg{ledgerFlags: ledgerFlags{Data: r.data}, Which: strconv.FormatInt(id, 10)}}
	status := ui.Fail(cmd.explain(r.t.Context(), ui, x, tlsrptexplain.Question{Hostname: ourHost, Domains: []string{ourDomain}}))
	got := volatile.ReplaceAllStringFunc(out.String(), func(s string) string { return strings.Map(anyDigit, s) })
	path := filepath.Join("testdata", "reports", golden+".txt")
	if *update && os.Getenv("CI") == "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if got != string(want) {
		r.t.Errorf("got (-update writes it)\n%s\nwant\n%s", got, want)
	}
	return status
}

// senderZones are the zones of senders: addresses with forward-confirmed names.
func senderZones(hosts map[string]string) (zones []testzone.Zone) {
	back := testzone.Zone{Name: "127.in-addr.arpa."}
	forward := make(map[string][]string)
	for addr, name := range hosts {
		bytes := netip.MustParseAddr(addr).As4()
		back.Records = append(back.Records, fmt.Sprintf("%d.%d.%d.127.in-addr.arpa. PTR %s.", bytes[3], bytes[2], bytes[1], name))
		labels := strings.Split(name, ".")
		zone := strings.Join(labels[len(labels)-2:], ".") + "."
		forward[zone] = append(forward[zone], name+". A "+addr)
	}
	for name, records := range forward {
		zones = append(zones, testzone.Zone{Name: name, Records: records})
	}
	return append(zones, back)
}
