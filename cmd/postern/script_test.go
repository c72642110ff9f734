package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"postern/internal/testcert"
	"postern/internal/testsmtp"
	"postern/internal/testzone"
	"postern/mtasts"
)

var update = flag.Bool("update", false, "write the outputs that the scripts expect anew")

// fastEnd is for the environment of each program here: under the race detector
// it would else wait for a second at its end.
const fastEnd = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postern": main})
}

// TestScripts runs the stories of testdata/script. Besides testscript's own
// commands they have
//
//	start [FLAG...]   runs postern serve until the script ends, waits until
//	                  it takes mail, puts its addresses into $ADDR and $ADDR2
//	signal NAME       sends it TERM, INT or HUP
//	stopped           waits for its end, which must be a success; then its
//	                  output is in the files out and log
//	logged TEXT       waits until its log has TEXT, since the last logged
//	smtp ADDR FILE    plays a dialogue, see dialogue
//	cert NAME FILE    makes FILE-cert.pem and FILE-key.pem
//	policy ADDR DOMAIN FILE-cert.pem
//	                  gets the MTA-STS policy of DOMAIN from ADDR, as a sender
//	                  that trusts the certificate does, into the file policy
//	nameserver TTL FILE
//	                  serves the records of a zone file, validated, at $DNS
//	systemd           listens at $NOTIFY_SOCKET
//	told STATE        waits until systemd is told STATE
//
// and $CAPTURES, a folder of packet captures, and $TRANSCRIPT, a transcript.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update && os.Getenv("CI") == "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":      start,
			"signal":     func(ts *testscript.TestScript, _ bool, args []string) { running(ts).signal(ts, args[0]) },
			"stopped":    func(ts *testscript.TestScript, _ bool, _ []string) { running(ts).stopped(ts) },
			"logged":     func(ts *testscript.TestScript, _ bool, args []string) { running(ts).log.await(ts, args[0]) },
			"smtp":       dialogue,
			"cert":       cert,
			"policy":     fetchPolicy,
			"nameserver": nameserver,
			"systemd":    systemd,
			"told":       func(ts *testscript.TestScript, _ bool, args []string) { told(ts).await(ts, args[0]) },
		},
		Setup: func(env *testscript.Env) error {
			env.Values[stories{}] = new(story)
			env.Vars = append(env.Vars, fastEnd,
				"CAPTURES="+filepath.Join(root, "internal/capture/testdata"),
				"TRANSCRIPT="+filepath.Join(root, "handshake/testdata/early-ticket.json"))
			return nil
		},
	})
}

// patience is how long anything may take. It ends only tests that fail.
const patience = time.Minute

// A story is what a script has going on.
type story struct {
	server *process
	told   *growing
}

type stories struct{}

func storyOf(ts *testscript.TestScript) *story { return ts.Value(stories{}).(*story) }

// A process is a running postern serve.
type process struct {
	cmd      *exec.Cmd
	out, log *growing
}

var listensOn = regexp.MustCompile(`(127\.0\.0\.1:\d+|\[::1\]:\d+) \(`)

func start(ts *testscript.TestScript, _ bool, args []string) {
	binary := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "postern")
	s := &process{cmd: exec.Command(binary, append([]string{"serve"}, args...)...), out: newGrowing(), log: newGrowing()}
	s.cmd.Dir = ts.MkAbs(".")
	s.cmd.Env = append(os.Environ(), fastEnd, "NOTIFY_SOCKET="+ts.Getenv("NOTIFY_SOCKET"))
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.log
	ts.Check(s.cmd.Start())
	storyOf(ts).server = s
	ts.Defer(func() { s.cmd.Process.Kill() })
	said, last := s.out, "Ctrl-C stops it.\n"
	if slices.Contains(args, "json") {
		said, last = s.log, `"msg":"accepting mail"`
	}
	said.await(ts, last)
	for i, found := range listensOn.FindAllStringSubmatch(said.String(), -1) {
		ts.Setenv([]string{"ADDR", "ADDR2"}[i], found[1])
	}
}

func running(ts *testscript.TestScript) *process {
	s := storyOf(ts).server
	if s == nil {
		ts.Fatalf("nothing was started")
	}
	return s
}

func (s *process) signal(ts *testscript.TestScript, name string) {
	ts.Check(s.cmd.Process.Signal(map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP,
	}[name]))
}

func (s *process) stopped(ts *testscript.TestScript) {
	err := s.cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(s.out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("log"), []byte(s.log.String()), 0o600))
	if err != nil {
		ts.Fatalf("postern ended with %v:\n%s", err, s.log)
	}
}

func cert(ts *testscript.TestScript, _ bool, args []string) {
	pair := testcert.New(certMaker{ts}, testcert.Options{Names: args[:1]})
	ts.Check(os.Rename(pair.CertFile, ts.MkAbs(args[1]+"-cert.pem")))
	ts.Check(os.Rename(pair.KeyFile, ts.MkAbs(args[1]+"-key.pem")))
}

func fetchPolicy(ts *testscript.TestScript, _ bool, args []string) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile(args[2])))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, args[0])
		},
	}
	defer transport.CloseIdleConnections()
	text := ""
	policy, err := mtasts.Fetch(context.Background(), &http.Client{Transport: transport}, args[1])
	if err != nil {
		text = err.Error() + "\n"
	} else {
		text = fmt.Sprintf("%s %s %v\n", policy.Mode, policy.MX, policy.MaxAge)
	}
	ts.Check(os.WriteFile(ts.MkAbs("policy"), []byte(text), 0o600))
}

// nameserver has all records live as long as it is told.
func nameserver(ts *testscript.TestScript, _ bool, args []string) {
	ttl, err := strconv.ParseUint(args[0], 10, 32)
	ts.Check(err)
	zone := testzone.Zone{Name: "."}
	parser := dns.NewZoneParser(strings.NewReader(ts.ReadFile(args[1])), "", "")
	parser.SetDefaultTTL(0) // replaced
	for record, ok := parser.Next(); ok; record, ok = parser.Next() {
		record.Header().Ttl = uint32(ttl)
		zone.Records = append(zone.Records, record.String())
	}
	ts.Check(parser.Err())
	server := testzone.Start(certMaker{ts}, zone)
	server.SetAD(true)
	ts.Setenv("DNS", server.Addr)
}

// certMaker lets testcert make files in a script, and testzone serve.
type certMaker struct{ *testscript.TestScript }

func (certMaker) Helper() {}

// Cleanup has f called at the script's end.
func (c certMaker) Cleanup(f func()) { c.Defer(f) }

func (c certMaker) TempDir() string {
	dir, err := os.MkdirTemp(c.MkAbs("."), "cert")
	c.Check(err)
	return dir
}

// systemd stands in for the service manager (sd_notify(3)).
func systemd(ts *testscript.TestScript, _ bool, _ []string) {
	// The path of a socket has at most 108 bytes.
	dir, err := os.MkdirTemp("", "notify")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	ts.Setenv("NOTIFY_SOCKET", socket)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	ts.Check(err)
	ts.Defer(func() { conn.Close() })
	heard := newGrowing()
	storyOf(ts).told = heard
	go func() {
		message := make([]byte, 4096)
		for {
			n, err := conn.Read(message)
			if err != nil {
				return
			}
			heard.Write(append(message[:n:n], '\n'))
		}
	}()
}

func told(ts *testscript.TestScript) *growing { return storyOf(ts).told }

// growing is output that can be waited for.
type growing struct {
	mu   sync.Mutex
	text bytes.Buffer
	read int           // up to here await has seen it
	more chan struct{} // has room for one
}

func newGrowing() *growing { return &growing{more: make(chan struct{}, 1)} }

func (g *growing) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case g.more <- struct{}{}:
	default:
	}
	return g.text.Write(p)
}

func (g *growing) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// await waits until text comes behind what was awaited before.
func (g *growing) await(ts *testscript.TestScript, text string) {
	timeout := time.After(patience)
	for {
		all := g.String()
		if i := strings.Index(all[g.read:], text); i >= 0 {
			g.read += i + len(text)
			return
		}
		select {
		case <-g.more:
		case <-timeout:
			ts.Fatalf("%q did not come, but\n%s", text, all[g.read:])
		}
	}
}

// dialogue plays a file with a server, line by line:
//
//   - "> TEXT" is sent.
//   - "< TEXT" is how the next line from the server must begin.
//   - "tls" starts TLS; "tls NAME" asks for NAME and expects a certificate for it.
//   - "refuse" starts TLS and does not accept the certificate.
//   - "signal NAME" and "logged TEXT" are those of the script.
//   - "end" waits until the server has closed.
//
// Lines of other kinds are comments.
func dialogue(ts *testscript.TestScript, _ bool, args []string) {
	c, err := testsmtp.Connect(args[0], "")
	ts.Check(err)
	defer c.Close()
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case ">":
			ts.Check(c.Send(rest + "\r\n"))
		case "<":
			if line, err := c.In.ReadString('\n'); err != nil || !strings.HasPrefix(line, rest) {
				ts.Fatalf("expected %q, got %q, %v", rest, line, err)
			}
		case "tls":
			ts.Check(c.Handshake(&tls.Config{ServerName: rest, InsecureSkipVerify: true}))
			if rest != "" {
				ts.Check(c.TLS().PeerCertificates[0].VerifyHostname(rest))
			}
		case "refuse":
			if err := c.Handshake(&tls.Config{ServerName: "mx.example.org"}); err == nil {
				ts.Fatalf("the certificate was accepted")
			}
		case "signal":
			running(ts).signal(ts, rest)
		case "logged":
			running(ts).log.await(ts, rest)
		case "end":
			if line, err := c.In.ReadString('\n'); err == nil {
				ts.Fatalf("expected the end, got %q", line)
			}
		}
	}
}
