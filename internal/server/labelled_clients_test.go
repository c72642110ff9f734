package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/capture"
	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/interop"
	"postern/sessionticket"
)

// groups make the labelled handshakes.
var groups = map[string]func(*testing.T, *labels){
	"personas":          labelPersonas,
	"verifying clients": labelVerifying,
	"monitors":          labelMonitors,
	"real programs":     labelPrograms,
	"middleboxes":       labelMiddleboxes,
	"network faults":    labelCuts,
	"lossy captures":    labelCaptures,
	"recordings":        labelRecordings,
}

// labelPersonas lets each persona come three times, to servers of each kind.
func labelPersonas(t *testing.T, set *labels) {
	pair := testcert.New(t, testcert.Options{})
	servers := map[string]benchOptions{
		"only P-521":              {pair: pair, configure: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }},
		asksForCertificates:       {pair: pair, configure: func(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert; c.ClientCAs = x509.NewCertPool() }},
		"with an RSA certificate": {pair: testcert.New(t, testcert.Options{RSA: true})},
	}
	sound := testcert.New(t, testcert.Options{CA: testcert.NewCA(t)})
	for _, mode := range allModes {
		servers["mode "+mode.String()] = benchOptions{first: mode, pair: pair}
		servers["sound certificate, mode "+mode.String()] = benchOptions{first: mode, pair: sound}
	}
	for name, o := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range persona.All() {
				b := startBench(t, o)
				var attempts []*labelledSession
				for n := range 3 {
					what := fmt.Sprintf("%s, %s, attempt %d", p.ID, name, n+1)
					attempts = append(attempts, b.attempt(t, "personas", what, func() string {
						other, _ := x509.SystemCertPool() // the persona that verifies refuses
						r := p.Run(t.Context(), persona.Target{Addr: b.addr, ServerName: "localhost", EHLO: p.ID + ".test", RootCAs: other})
						return truthOf(p, r, o.configure != nil && name == asksForCertificates)
					}))
				}
				b.label(set, attempts...)
			}
		})
	}
}

const asksForCertificates = "asks for certificates"

// failsBefore are the personas that get no answer to their ClientHello, or give none to the
// server's, so that they do not come to its request for a certificate.
var failsBefore = []string{"tls10-only", "rsa-only-client", "sha1-signatures-only", "sni-trailing-dot", "certificate-refused"}

// truthOf returns why a persona failed: by what it does, or by what the server asks for.
func truthOf(p *persona.Persona, r *persona.Result, asks bool) string {
	switch {
	case r.Completed:
		return healthy
	case p.ID == "falls-back-to-plaintext":
		return "tls10-only"
	case asks && !slices.Contains(failsBefore, p.ID):
		return "client-certificate-asked"
	case p.Case == "":
		return otherwise
	}
	return p.Case
}

// A silent is the connection of a client that closes without an alert: once told to leave, it
// reads what is there, and closes.
type silent struct {
	net.Conn
	leave atomic.Bool
}

func (c *silent) Write(b []byte) (int, error) {
	if c.leave.Load() {
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			tcp.CloseWrite()
		}
		io.Copy(io.Discard, c.Conn)
		return 0, errors.New("left")
	}
	return c.Conn.Write(b)
}

// labelVerifying lets clients come that refuse the certificate, with an alert or as nodemailer
// does, without.
func labelVerifying(t *testing.T, set *labels) {
	ca := testcert.NewCA(t)
	pairs := map[string]*testcert.Pair{
		"self-signed":    testcert.New(t, testcert.Options{}),
		"of another CA":  testcert.New(t, testcert.Options{CA: ca}),
		"for other name": testcert.New(t, testcert.Options{CA: ca, Names: []string{"other.example"}}),
		"expired":        testcert.New(t, testcert.Options{CA: ca, NotAfter: time.Now().Add(-time.Hour)}),
	}
	for certificate, pair := range pairs {
		for _, mode := range allModes {
			for _, how := range []string{"without an alert", "with an alert"} {
				t.Run(fmt.Sprint(certificate, mode, how), func(t *testing.T) {
					t.Parallel()
					b := startBench(t, benchOptions{first: mode, pair: pair})
					var attempts []*labelledSession
					for n := range 4 {
						what := fmt.Sprintf("%s, certificate %s, mode %v, attempt %d", how, certificate, mode, n+1)
						attempts = append(attempts, b.attempt(t, "verifying clients", what, func() string {
							refuse(t, b.addr, how == "without an alert")
							return "certificate-refused"
						}))
					}
					b.label(set, attempts...)
				})
			}
		}
	}
}

func refuse(t *testing.T, addr string, silently bool) {
	base, err := dial(addr, "app.test")
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	conn := &silent{Conn: base}
	config := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	config.VerifyConnection = func(tls.ConnectionState) error {
		conn.leave.Store(silently)
		return &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	}
	if err := tls.Client(conn, config).Handshake(); err == nil {
		t.Error("the client accepted the certificate")
	}
}

// labelMonitors lets clients come that look and leave.
func labelMonitors(t *testing.T, set *labels) {
	pair := testcert.New(t, testcert.Options{})
	for what, leave := range map[string]func(base net.Conn, conn *tls.Conn){
		"closes":                      func(base net.Conn, _ *tls.Conn) { base.Close() },
		"close_notify":                func(_ net.Conn, conn *tls.Conn) { conn.Close() },
		"QUIT":                        func(_ net.Conn, conn *tls.Conn) { say(conn, "QUIT") },
		"EHLO and QUIT":               func(_ net.Conn, conn *tls.Conn) { say(conn, "EHLO m.test", "QUIT") },
		"EHLO and closes":             func(base net.Conn, conn *tls.Conn) { say(conn, "EHLO m.test"); base.Close() },
		"reads the ticket and closes": func(base net.Conn, conn *tls.Conn) { readSome(conn); base.Close() },
	} {
		for _, mode := range allModes {
			t.Run(fmt.Sprint(what, mode), func(t *testing.T) {
				t.Parallel()
				b := startBench(t, benchOptions{first: mode, pair: pair})
				var attempts []*labelledSession
				for n := range 4 {
					attempts = append(attempts, b.attempt(t, "monitors", fmt.Sprintf("%s, mode %v, attempt %d", what, mode, n+1), func() string {
						base, err := dial(b.addr, "monitor.test")
						if err != nil {
							t.Fatal(err)
						}
						conn := tls.Client(base, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
						if err := conn.Handshake(); err != nil {
							t.Errorf("%s: %v", what, err)
						}
						leave(base, conn)
						base.Close()
						return healthy
					}))
				}
				b.label(set, attempts...)
			})
		}
	}
}

// say sends commands and reads the reply to each. It returns whether each got one.
func say(conn *tls.Conn, commands ...string) bool {
	buffer := make([]byte, 4096)
	for _, command := range commands {
		io.WriteString(conn, command+"\r\n")
		if n, err := conn.Read(buffer); n == 0 && err != nil { // the last reply may come with close_notify
			return false
		}
	}
	return true
}

// readSome reads until shortly after the handshake.
func readSome(conn *tls.Conn) {
	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	conn.Read(make([]byte, 1))
}

// A program is a real client.
type program struct {
	name, what string
	truth      string
	run        func(ctx context.Context, host, port string) *exec.Cmd
}

// labelPrograms lets the real clients come that are installed. They take time, and what is
// installed varies, so they come only for the page.
func labelPrograms(t *testing.T, set *labels) {
	if !*update {
		t.Skip("only with -update")
	}
	pair := testcert.New(t, testcert.Options{})
	python := func(verify bool) func(context.Context, string, string) *exec.Cmd {
		return func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "python3", "-c", fmt.Sprintf(`
import smtplib, ssl, sys
c = ssl.create_default_context()
if not %d: c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), local_hostname="python.test") as s:
    s.starttls(context=c)
    s.sendmail("a@sender.test", "postmaster@localhost", "Subject: x\r\n\r\nx\r\n")`, map[bool]int{true: 1}[verify]), host, port)
		}
	}
	node := func(verify bool) func(context.Context, string, string) *exec.Cmd {
		return func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "node", "-e", fmt.Sprintf(`
const s = require('net').connect(+process.argv[2], process.argv[1]), tls = require('tls');
const say = ['EHLO node.test\r\n', 'STARTTLS\r\n'];
s.on('data', () => {
  if (say.length) return s.write(say.shift());
  s.removeAllListeners('data');
  const t = tls.connect({socket: s, servername: 'localhost', rejectUnauthorized: %v}, () => t.end('QUIT\r\n'));
  t.on('error', () => t.destroy());
});`, verify), host, port)
		}
	}
	for _, p := range []program{
		{"openssl", "s_client, as monitors run it", healthy, func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "openssl", "s_client", "-starttls", "smtp", "-connect", net.JoinHostPort(host, port))
		}},
		{"openssl", "s_client that verifies", "certificate-refused", func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "openssl", "s_client", "-starttls", "smtp", "-verify_return_error", "-connect", net.JoinHostPort(host, port))
		}},
		{"gnutls-cli", "that accepts any certificate", healthy, func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "gnutls-cli", "--insecure", "--starttls-proto=smtp", "--port", port, host)
		}},
		{"gnutls-cli", "that verifies", "certificate-refused", func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "gnutls-cli", "--starttls-proto=smtp", "--port", port, host)
		}},
		{"swaks", "", healthy, func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "swaks", "--server", host, "--port", port, "--tls", "--to", "postmaster@localhost", "--from", "a@sender.test")
		}},
		{"swaks", "quitting after TLS", healthy, func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "swaks", "--server", host, "--port", port, "--tls", "--quit-after", "TLS", "--to", "postmaster@localhost")
		}},
		{"curl", "that accepts any certificate", healthy, func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "curl", "--silent", "--ssl-reqd", "--insecure", "--url", "smtp://"+net.JoinHostPort(host, port), "--mail-from", "a@sender.test", "--mail-rcpt", "postmaster@localhost", "--upload-file", "-")
		}},
		{"curl", "that verifies", "certificate-refused", func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "curl", "--silent", "--ssl-reqd", "--url", "smtp://"+net.JoinHostPort(host, port), "--mail-from", "a@sender.test", "--mail-rcpt", "postmaster@localhost", "--upload-file", "-")
		}},
		{"python3", "smtplib", healthy, python(false)},
		{"python3", "smtplib that verifies", "certificate-refused", python(true)},
		{"node", "that accepts any certificate, and quits", healthy, node(false)},
		{"node", "that verifies", "certificate-refused", node(true)},
		{"posttls-finger", "that reconnects", healthy, func(ctx context.Context, host, port string) *exec.Cmd {
			return exec.CommandContext(ctx, "posttls-finger", "-c", "-r", "1", "-l", "may", "["+host+"]:"+port)
		}},
	} {
		if _, err := exec.LookPath(p.name); err != nil {
			t.Logf("without %s", p.name)
			continue
		}
		for _, mode := range []sessionticket.Mode{sessionticket.Stock, sessionticket.OwnWrite, sessionticket.FirstWrite} {
			t.Run(fmt.Sprint(p.name, p.what, mode), func(t *testing.T) {
				b := startBench(t, benchOptions{first: mode, pair: pair})
				host, port, _ := net.SplitHostPort(b.addr)
				var attempts []*labelledSession
				for n := range 2 {
					attempts = append(attempts, b.attempt(t, "real programs", fmt.Sprintf("%s %s, mode %v, attempt %d", p.name, p.what, mode, n+1), func() string {
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						defer cancel()
						cmd := p.run(ctx, host, port)
						cmd.Stdin = strings.NewReader("")
						if strings.HasPrefix(p.name, "curl") {
							cmd.Stdin = strings.NewReader("Subject: x\r\n\r\nx\r\n")
						}
						cmd.Run() // the server says how it went
						return p.truth
					}))
				}
				b.label(set, attempts...)
			})
		}
	}
}

// A cut is a connection that breaks after so many bytes in a direction.
type cut struct {
	net.Conn
	reads, writes *int // that are left; nil: any number
	then          func(net.Conn)
}

func (c *cut) Write(b []byte) (int, error) {
	if c.writes == nil {
		return c.Conn.Write(b)
	}
	n := min(*c.writes, len(b))
	*c.writes -= n
	c.Conn.Write(b[:n])
	if n == len(b) {
		return n, nil
	}
	c.then(c.Conn)
	return n, net.ErrClosed
}

func (c *cut) Read(b []byte) (int, error) {
	if c.reads == nil {
		return c.Conn.Read(b)
	}
	if *c.reads == 0 {
		c.then(c.Conn)
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(b[:min(*c.reads, len(b))])
	*c.reads -= n
	return n, err
}

func closeNow(c net.Conn) { c.Close() }
func resetNow(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }
func beSilent(c net.Conn) { io.Copy(io.Discard, c) }

// silence is how long a server waits for a client that is silent.
const silence = time.Second / 2

// labelMiddleboxes lets large ClientHellos meet devices that pass one segment, and devices that
// mask what they do not know.
func labelMiddleboxes(t *testing.T, set *labels) {
	pair := testcert.New(t, testcert.Options{})
	for what, then := range map[string]func(net.Conn){"nothing more": beSilent, "a close": closeNow, "a reset": resetNow} {
		for _, segment := range []int{536, 1200, 1380, 1440} {
			t.Run(fmt.Sprint(segment, what), func(t *testing.T) {
				t.Parallel()
				o := benchOptions{pair: pair}
				if what == "nothing more" {
					o.patience = silence
				}
				b := startBench(t, o)
				b.label(set, b.attempt(t, "middleboxes", fmt.Sprintf("%d bytes of a ClientHello, then %s", segment, what), func() string {
					base, err := dial(b.addr, "large.test")
					if err != nil {
						t.Fatal(err)
					}
					defer base.Close()
					conn := tls.Client(&cut{Conn: base, writes: &segment, then: then}, &tls.Config{InsecureSkipVerify: true})
					conn.Handshake()
					return "big-hello"
				}))
			})
		}
	}
	for i, mask := range []string{"XXXXXXXX\r\n", "********\r\n", "XXXXXXXXXXXXXXXX\r\n"} {
		b := startBench(t, benchOptions{pair: pair})
		b.label(set, b.attempt(t, "middleboxes", fmt.Sprintf("mask %d", i), func() string {
			base, err := dial(b.addr, "masked.test")
			if err != nil {
				t.Fatal(err)
			}
			defer base.Close()
			io.WriteString(base, mask)
			io.Copy(io.Discard, base)
			return "inspected-by-firewall"
		}))
	}
}

// labelCuts breaks the connections of a healthy client at any byte.
func labelCuts(t *testing.T, set *labels) {
	pair := testcert.New(t, testcert.Options{})
	random := rand.New(rand.NewPCG(7, 7))
	for n := range 90 {
		mode, left := allModes[n%len(allModes)], 1+random.IntN(2000)
		o := benchOptions{first: mode, pair: pair}
		then, how := closeNow, "close"
		if n%3 > 0 {
			then, how = resetNow, "reset"
		}
		if n%9 == 0 {
			then, how, o.patience = beSilent, "silence", silence
		}
		what := fmt.Sprintf("%s after %d bytes, mode %v", how, left, mode)
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := startBench(t, o)
			b.label(set, b.attempt(t, "network faults", what, func() string {
				base, err := dial(b.addr, "cut.test")
				if err != nil {
					t.Fatal(err)
				}
				defer base.Close()
				broken := &cut{Conn: base, then: then, reads: &left}
				if n%2 == 0 {
					broken.reads, broken.writes = nil, &left
				}
				conn := tls.Client(broken, &tls.Config{
					InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}, ClientSessionCache: tls.NewLRUClientSessionCache(1),
				})
				if err := conn.Handshake(); err != nil {
					return otherwise
				}
				if !say(conn, "EHLO cut.test", "NOOP", "QUIT") {
					return otherwise
				}
				return healthy
			}))
		})
	}
}

// labelCaptures reads captures from which packets are missing.
func labelCaptures(t *testing.T, set *labels) {
	random := rand.New(rand.NewPCG(11, 11))
	for _, name := range []string{
		"healthy.openssl-3.0", "goodbye.tls12", "goodbye.tls13", "healthy-in-vxlan", "healthy-in-pppoe", "early-ticket.chasquid-1.11",
	} {
		truth := healthy
		if id, _, _ := strings.Cut(name, "."); id == "early-ticket" {
			truth = id
		}
		whole, err := os.ReadFile("../capture/testdata/" + name + ".pcap")
		if err != nil {
			t.Fatal(err)
		}
		packets := split(whole)
		for n := range 40 {
			kept := slices.Clone(packets)
			switch n % 4 {
			case 0: // it begins late
				kept = kept[random.IntN(len(kept)/2):]
			case 1: // it ends early
				kept = kept[:len(kept)-random.IntN(len(kept)/2)]
			default: // it loses some
				for range 1 + random.IntN(3) {
					i := random.IntN(len(kept))
					kept = slices.Delete(kept, i, i+1)
				}
			}
			reader, err := capture.NewReader(bytes.NewReader(slices.Concat(append([][]byte{whole[:pcapHead]}, kept...)...)), nil)
			if err != nil {
				t.Fatal(err)
			}
			for {
				conversation, err := reader.Next()
				if err != nil {
					break
				}
				if conversation.Transcript == nil {
					continue
				}
				diagnoses, failed := interop.Diagnose(conversation.Transcript)
				v := verdict{diagnoses, failed}
				set.add(label{"lossy captures", fmt.Sprintf("%s, loss %d", name, n), truth, v, v})
			}
		}
	}
}

const pcapHead = 24 // bytes of the head of a pcap file

// split returns the packets of a little-endian pcap file, each with its head of 16 bytes.
func split(pcap []byte) (packets [][]byte) {
	for rest := pcap[pcapHead:]; len(rest) >= 16; {
		n := 16 + int(rest[8]) + int(rest[9])<<8 + int(rest[10])<<16
		packets = append(packets, rest[:n])
		rest = rest[n:]
	}
	return packets
}

// labelRecordings reads the recorded handshakes of real clients and test clients.
func labelRecordings(t *testing.T, set *labels) {
	files, err := filepath.Glob("../../interop/testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, record, _ := bytes.Cut(text, []byte("--- transcript\n"))
		transcript, err := handshake.Parse(record)
		if err != nil {
			t.Fatal(err)
		}
		truth, _, _ := strings.Cut(strings.TrimPrefix(string(text), "expect: "), "\n")
		switch truth {
		case "none":
			truth = healthy
		case "unknown":
			truth = otherwise
		}
		diagnoses, failed := interop.Diagnose(transcript)
		v := verdict{diagnoses, failed}
		set.add(label{"recordings", filepath.Base(file), truth, v, v})
	}
}
