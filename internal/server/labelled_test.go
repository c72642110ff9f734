package server

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/fallback"
	"postern/internal/nexthop/maildir"
	"postern/internal/smtpd"
	"postern/internal/testcert"
	"postern/sessionticket"
)

// A bench is a mail server on loopback with its own fallback and diagnosis. Its sessions are
// labelled, one after the other.
type bench struct {
	addr     string
	pair     *testcert.Pair
	selector *fallback.Selector
	attempts *attempts
	ended    chan judged
	verdicts map[string]*verdict // by session, in the end
}

type judged struct {
	session string
	verdict verdict
}

type benchOptions struct {
	first     sessionticket.Mode
	pair      *testcert.Pair
	configure func(*tls.Config)
	patience  time.Duration // of the server in a handshake
}

func startBench(t *testing.T, o benchOptions) *bench {
	t.Helper()
	b := &bench{pair: o.pair, selector: fallback.New(o.first), attempts: newAttempts(), ended: make(chan judged, 16), verdicts: make(map[string]*verdict)}
	config := &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &o.pair.TLS, nil },
		MinVersion:     tls.VersionTLS12,
	}
	if o.configure != nil {
		o.configure(config)
	}
	plenty := admission.Quota{Connections: 1000, Starts: 1e6, Bytes: 1e9}
	log := slog.New(slog.DiscardHandler)
	hop, err := maildir.New(t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	server := smtpd.New(smtpd.Settings{
		Hostname: "localhost", Domains: []string{"localhost"}, TLS: config,
		Limits: smtpd.Limits{HandshakeTimeout: o.patience, Quotas: admission.Quotas{Total: plenty, PerNetwork: plenty}},
	}, hop, b, log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = listener.Addr().String()
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Shutdown(ctx)
		<-done
	})
	return b
}

// ChooseMode implements [smtpd.Observer].
func (b *bench) ChooseMode(sender netip.Addr, ja4 string, _ bool) sessionticket.Mode {
	mode, _ := b.selector.Choose(fallback.Sender{Addr: sender, Fingerprint: ja4}, time.Now())
	return mode
}

// WantsCompleted implements [smtpd.Observer].
func (b *bench) WantsCompleted(netip.Addr, string, string, sessionticket.Mode) bool { return false }

// SessionEnded implements [smtpd.Observer] as the server does, without the ledger.
func (b *bench) SessionEnded(r smtpd.SessionResult) {
	if r.Transcript == nil && r.TLS == nil && r.End == "quit" {
		return // one that came again in plaintext
	}
	j := b.attempts.judge(r)
	if r.JA4 != "" {
		b.selector.Learn(senderOf(r), r.Mode, outcome(r), time.Now())
	}
	b.verdicts[r.ID] = &verdict{j.diagnoses, j.failed}
	for _, again := range j.revisions {
		b.verdicts[again.session].diagnoses = again.now
	}
	b.ended <- judged{r.ID, *b.verdicts[r.ID]}
}

// CommandRefused implements [smtpd.Observer].
func (b *bench) CommandRefused(smtpd.RefusedCommand) {}

// MessageAccepted implements [smtpd.Observer].
func (b *bench) MessageAccepted(smtpd.AcceptedMessage) {}

// attempt connects a client, waits until its session has ended, and labels it. The client
// returns the truth.
func (b *bench) attempt(t *testing.T, group, what string, client func() (truth string)) *labelledSession {
	t.Helper()
	truth := client()
	select {
	case j := <-b.ended:
		return &labelledSession{label{group: group, what: what, truth: truth, first: j.verdict}, j.session}
	case <-time.After(time.Minute):
		t.Fatalf("%s: %s: the session does not end", group, what)
		return nil
	}
}

type labelledSession struct {
	label
	session string
}

// label adds attempts to the set, with what is said of them in the end.
func (b *bench) label(set *labels, attempts ...*labelledSession) {
	for _, v := range attempts {
		v.last = *b.verdicts[v.session]
		set.add(v.label)
	}
}

var allModes = []sessionticket.Mode{
	sessionticket.Stock, sessionticket.OwnWrite, sessionticket.FirstWrite, sessionticket.NoTicket, sessionticket.TLS12,
}

// dial connects and does STARTTLS in plaintext.
func dial(addr, ehlo string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	buffer := make([]byte, 4096)
	for _, command := range []string{"EHLO " + ehlo + "\r\n", "STARTTLS\r\n", ""} {
		if _, err := conn.Read(buffer); err != nil { // a reply on loopback is one segment
			conn.Close()
			return nil, err
		}
		io.WriteString(conn, command)
	}
	return conn, nil
}
