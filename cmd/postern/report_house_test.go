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

// A house is a Postern that takes mail for receiver.example, the zones around it, its policy,
// and a sender, mx1.sender.example at 127.0.1.1 and others.
type house struct {
	t        *testing.T
	data     string
	addr     string
	pair     *testcert.Pair
	records  []string // of receiver.example
	policy   string
	secure   bool
	stop     func()
	sessions int // that are over
	log      *growing
}

const (
	ourHost   = "mx.receiver.example"
	ourDomain = "receiver.example"
)

// newHouse starts postern serve with a certificate and more flags.
func newHouse(t *testing.T, pair *testcert.Pair, flags ...string) (*house, error) {
	h := &house{
		t: t, data: t.TempDir(), pair: pair, secure: true,
		policy: "version: STSv1\nmode: enforce\nmx: mx.receiver.example\nmax_age: 1209600\n",
		records: []string{
			"receiver.example. MX 10 mx.receiver.example.", "mx.receiver.example. A 127.0.0.1",
			`_mta-sts.receiver.example. TXT "v=STSv1; id=1"`, `_smtp._tls.receiver.example. TXT "v=TLSRPTv1; rua=mailto:tls@receiver.example"`,
		},
		log: newGrowing(),
	}
	flags = append([]string{
		"serve", "--listen", "127.0.0.1:0", "--hostname", ourHost, "--domain", ourDomain, "--data", h.data,
		"--cert", pair.CertFile, "--key", pair.KeyFile,
	}, flags...)
	server := exec.Command("postern", flags...)
	server.Env = append(os.Environ(), fastEnd)
	out := newGrowing()
	server.Stdout, server.Stderr = out, h.log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- server.Wait() }()
	h.stop = func() {
		h.stop = func() {}
		server.Process.Signal(os.Interrupt)
		if err := <-over; err != nil {
			t.Errorf("postern serve: %v\n%s", err, h.log)
		}
	}
	t.Cleanup(func() { h.stop() })
	if err := out.until("Ctrl-C stops it.\n", over); err != nil {
		h.stop = func() {}
		return nil, fmt.Errorf("%w\n%s", err, h.log)
	}
	h.addr = listensOn.FindStringSubmatch(out.String())[1]
	return h, nil
}

// until waits for text, or for the program's end.
func (g *growing) until(text string, over <-chan error) error {
	for !strings.Contains(g.String(), text) {
		select {
		case <-g.more:
		case err := <-over:
			return fmt.Errorf("it ended: %w", err)
		case <-time.After(patience):
			return fmt.Errorf("%q did not come", text)
		}
	}
	return nil
}

func certified(t *testing.T, life time.Duration) *testcert.Pair {
	return testcert.New(t, testcert.Options{Names: []string{ourHost, "mx2.receiver.example", "mta-sts.receiver.example"}, NotAfter: time.Now().Add(life)})
}

func mustHouse(t *testing.T, flags ...string) *house {
	h, err := newHouse(t, certified(t, 24*time.Hour), flags...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// comes lets a sender connect from an address, and waits until its session is over.
func (h *house) comes(from string, do func(net.Conn)) {
	h.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	do(conn)
	conn.Close()
	h.sessions++
	deadline := time.After(patience)
	for strings.Count(h.log.String(), "msg=session") < h.sessions {
		select {
		case <-h.log.more:
		case <-deadline:
			h.t.Fatalf("%d sessions did not end:\n%s", h.sessions, h.log)
		}
	}
}

// strictly is a client that wants tickets and refuses an early one.
func (h *house) strictly(name string) func(net.Conn) {
	return func(conn net.Conn) {
		config := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		if _, err := strictclient.StartTLS(conn, name, config); err == nil {
			h.t.Errorf("%s got in", name)
		}
	}
}

// leaving is a client that checks after the handshake, and leaves, as Postfix does with DANE.
func (h *house) leaving(name string) func(net.Conn) {
	return func(conn net.Conn) {
		c := h.upToTLS(conn, name)
		if err := c.Handshake(&tls.Config{InsecureSkipVerify: true}); err != nil {
			h.t.Error(err)
		}
		if err := c.Commands("QUIT"); err != nil {
			h.t.Error(err)
		}
	}
}

// verifying is a client that wants a certificate of today.
func (h *house) verifying(name string) func(net.Conn) {
	return func(conn net.Conn) {
		c := h.upToTLS(conn, name)
		if err := c.Handshake(&tls.Config{ServerName: ourHost, RootCAs: h.pair.Pool}); err == nil {
			h.t.Errorf("%s takes the certificate", name)
		}
	}
}

// upToTLS speaks SMTP up to where the handshake begins.
func (h *house) upToTLS(conn net.Conn, name string) *testsmtp.Client {
	c := testsmtp.New(conn)
	if err := errors.Join(c.Expect("", 220), c.Commands("EHLO "+name, "STARTTLS")); err != nil {
		h.t.Error(err)
	}
	return c
}

// turn sets the clock of all that is in the ledger so far: the first session began at begin, each
// other an hour after the one before. The server has to be stopped.
func (h *house) turn(begin time.Time) {
	h.t.Helper()
	h.stop()
	db, err := sql.Open("sqlite", config.LedgerFile(h.data))
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`UPDATE handshakes SET at = ? + 3600000 * (SELECT count(*) FROM handshakes AS o WHERE o.id < handshakes.id)`,
		`UPDATE diagnoses SET at = (SELECT at FROM handshakes WHERE id = handshake) + 0 * ?`,
	} {
		if _, err := db.Exec(statement, begin.UnixMilli()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// receive keeps reports, as signed by the submitter.
func (h *house) receive(submitter string, reports ...*tlsrpt.Report) (last int64) {
	h.t.Helper()
	for _, r := range reports {
		content, err := json.Marshal(r)
		if err != nil {
			h.t.Fatal(err)
		}
		filed, err := ledger.AddReport(h.t.Context(), config.LedgerFile(h.data), ledger.Report{
			At: r.End.Add(8 * time.Hour), Via: ledger.ByMail, Verified: true, Signer: submitter, Verdict: "signed by " + submitter,
			Submitter: submitter, Organization: r.Organization, ReportID: r.ID, Start: r.Start, End: r.End,
			Domains: []string{ourDomain}, Content: content,
		})
		if err != nil {
			h.t.Fatal(err)
		}
		last = filed.ID
	}
	return last
}

// network serves the zones and the policy, and asks them.
func (h *house) network(others ...testzone.Zone) tlsrptexplain.Explainer {
	h.t.Helper()
	zones := testzone.Start(h.t, append([]testzone.Zone{{Name: "."}, {Name: "receiver.example.", Records: h.records}}, others...)...)
	zones.Validates(h.secure)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, h.policy)
	}))
	fresh := certified(h.t, 24*time.Hour)
	web.TLS = &tls.Config{Certificates: []tls.Certificate{fresh.TLS}}
	web.StartTLS()
	h.t.Cleanup(web.Close)
	prober := &probe.Prober{
		Port: uint16(netip.MustParseAddrPort(h.addr).Port()), Resolver: zones.Addr, RootCAs: h.pair.Pool, Personas: askedPersonas(),
		HTTP: &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: fresh.Pool},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, web.Listener.Addr().String())
			},
		}},
	}
	return tlsrptexplain.Explainer{Prober: prober, Resolver: prober.NetResolver()}
}

// passing are ports and times of now, which differ from run to run in their digits.
var passing = regexp.MustCompile(`127\.0\.0\.1:\d+|_\d+\._tcp|20(2[5-9]|[3-9]\d)-\d+-\d+T\d+:\d+:\d+Z`)

func anyDigit(r rune) rune {
	if unicode.IsDigit(r) {
		return '0'
	}
	return r
}

// explains compares what is told of a report with the story's golden, and returns the exit status.
func (h *house) explains(golden string, id int64, x tlsrptexplain.Explainer) int {
	h.t.Helper()
	var out bytes.Buffer
	ui := terminal.UI{Command: "postern", Out: &out, Err: &out}
	r := reportExplain{ledgerFlags: ledgerFlags{Data: h.data}, Which: strconv.FormatInt(id, 10)}
	status := ui.Fail(r.explain(h.t.Context(), ui, x, self{ourHost, []string{ourDomain}}))
	got := passing.ReplaceAllStringFunc(out.String(), func(s string) string { return strings.Map(anyDigit, s) })
	path := filepath.Join("testdata", "reports", golden+".txt")
	if *update && os.Getenv("CI") == "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	if got != string(want) {
		h.t.Errorf("-update writes this anew:\n%s\nwant\n%s", got, want)
	}
	return status
}

// of are the zones of senders: addresses with names that lead back there.
func of(hosts map[string]string) (zones []testzone.Zone) {
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
