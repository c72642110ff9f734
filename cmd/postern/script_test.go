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

var update = flag.Bool("update", false, "rewrite the expected output in scripts and golden files")

// fastExit is in the environment of each process: the race detector would make it wait
// for a second at its end.
const fastExit = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	defaultConfig = "etc/postern.toml" // in the working folder of a script
	time.Local = time.UTC              // in which crypto/x509 writes the current time, in golden files too
	testscript.Main(m, map[string]func(){"postern": main})
}

// TestScripts runs the scripts of testdata/script. Besides the commands of testscript
// they have
//
//	start [FLAG...]   runs postern serve until the script ends, waits until
//	                  it accepts mail, sets $ADDR and $ADDR2 to its addresses
//	signal NAME       sends it TERM, INT or HUP
//	stopped           waits until it exits with status 0; its output is then in
//	                  the files out and log
//	logged TEXT       waits until its log has TEXT, since the last logged
//	smtp ADDR FILE    plays an SMTP dialogue, see dialogue
//	cert NAME FILE DAYS
//	                  makes FILE-cert.pem and FILE-key.pem, which expire, if DAYS is given, in
//	                  that many days, a negative number for long ago
//	policy ADDR DOMAIN FILE-cert.pem
//	                  fetches the MTA-STS policy of DOMAIN from ADDR, trusting
//	                  the certificate, into the file policy
//	nameserver TTL FILE
//	                  serves the records of a zone file at $DNS, with AD bit
//	systemd           listens at $NOTIFY_SOCKET
//	notified STATE    waits until systemd is notified of STATE
//
// and $CAPTURES, a folder of packet captures, $TLSLOGS, one of logs, $TRANSCRIPT, a transcript, and
// $COMPLETIONS, the folder of the completions for shells. The condition [shell:NAME] says whether
// that shell is installed.
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
			"notified":   func(ts *testscript.TestScript, _ bool, args []string) { stateOf(ts).states.await(ts, args[0]) },
		},
		Condition: func(name string) (bool, error) {
			shell, ok := strings.CutPrefix(name, "shell:")
			if !ok {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			_, err := exec.LookPath(shell)
			if err != nil && os.Getenv("CI") == "true" {
				return false, fmt.Errorf("%w: run scripts/install-peers", err)
			}
			return err == nil, nil
		},
		Setup: func(env *testscript.Env) error {
			env.Values[stateKey{}] = new(scriptState)
			env.Vars = append(env.Vars, fastExit,
				"CAPTURES="+filepath.Join(root, "internal/capture/testdata"),
				"TLSLOGS="+filepath.Join(root, "internal/tlslog/testdata"),
				"TRANSCRIPT="+filepath.Join(root, "handshake/testdata/early-ticket.json"),
				"COMPLETIONS="+filepath.Join(root, "deploy/completions"))
			return nil
		},
	})
}

// patience is how long anything may take. It ends only tests that fail.
const patience = time.Minute

// A scriptState is what a script has started.
type scriptState struct {
	server *process
	states *liveOutput // of systemd
}

type stateKey struct{}

func stateOf(ts *testscript.TestScript) *scriptState { return ts.Value(stateKey{}).(*scriptState) }

// A process is a running postern serve.
type process struct {
	cmd      *exec.Cmd
	out, log *liveOutput
	ended    chan struct{} // closed after its end
	err      error         // of its end
}

var listensOn = regexp.MustCompile(`(127\.0\.0\.1:\d+|\[::1\]:\d+) \(`)

func start(ts *testscript.TestScript, _ bool, args []string) {
	binary := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "postern")
	cmd := exec.Command(binary, append([]string{"serve", "--dashboard", "off", "--metrics", "off"}, args...)...)
	s := &process{cmd: cmd, out: newLiveOutput(), log: newLiveOutput(), ended: make(chan struct{})}
	s.out.ended, s.log.ended = s.ended, s.ended
	s.cmd.Dir = ts.MkAbs(".")
	s.cmd.Env = append(os.Environ(), fastExit, "NOTIFY_SOCKET="+ts.Getenv("NOTIFY_SOCKET"))
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.log
	ts.Check(s.cmd.Start())
	stateOf(ts).server = s
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	ts.Defer(func() { s.cmd.Process.Kill(); <-s.ended })
	out, last := s.out, "Ctrl-C stops it.\n"
	if slices.Contains(args, "json") {
		out, last = s.log, `"msg":"accepting mail"`
	}
	out.await(ts, last, s.log)
	for i, found := range listensOn.FindAllStringSubmatch(out.String(), -1) {
		ts.Setenv([]string{"ADDR", "ADDR2"}[i], found[1])
	}
}

func running(ts *testscript.TestScript) *process {
	s := stateOf(ts).server
	if s == nil {
		ts.Fatalf("start comes first")
	}
	return s
}

func (s *process) signal(ts *testscript.TestScript, name string) {
	ts.Check(s.cmd.Process.Signal(map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP,
	}[name]))
}

func (s *process) stopped(ts *testscript.TestScript) {
	select {
	case <-s.ended:
	case <-time.After(patience):
		ts.Fatalf("postern does not stop:\n%s", s.log)
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(s.out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("log"), []byte(s.log.String()), 0o600))
	if s.err != nil {
		ts.Fatalf("postern ended with %v:\n%s", s.err, s.log)
	}
}

func cert(ts *testscript.TestScript, _ bool, args []string) {
	options := testcert.Options{Names: args[:1]}
	if len(args) > 2 {
		days, err := strconv.Atoi(args[2])
		ts.Check(err)
		options.NotAfter = time.Now().AddDate(0, 0, days)
	}
	pair := testcert.New(scriptTB{ts}, options)
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

// nameserver gives all records the TTL in its first argument.
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
	server := testzone.Start(scriptTB{ts}, zone)
	server.SetAD(true)
	ts.Setenv("DNS", server.Addr)
}

// A scriptTB is the testing.TB that testcert and testzone need of a script.
type scriptTB struct{ *testscript.TestScript }

func (scriptTB) Helper() {}

// Cleanup calls f at the script's end.
func (c scriptTB) Cleanup(f func()) { c.Defer(f) }

func (c scriptTB) TempDir() string {
	dir, err := os.MkdirTemp(c.MkAbs("."), "cert")
	c.Check(err)
	return dir
}

// systemd receives what postern sends to the service manager (sd_notify(3)).
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
	states := newLiveOutput()
	stateOf(ts).states = states
	go func() {
		message := make([]byte, 4096)
		for {
			n, err := conn.Read(message)
			if err != nil {
				return
			}
			states.Write(append(message[:n:n], '\n'))
		}
	}()
}

// A liveOutput is the output of a running process, in which text can be waited for.
type liveOutput struct {
	mu    sync.Mutex
	text  bytes.Buffer
	read  int             // await has seen this much
	more  chan struct{}   // a signal, buffered
	ended <-chan struct{} // closed when nothing more comes; nil: never
}

func newLiveOutput() *liveOutput { return &liveOutput{more: make(chan struct{}, 1)} }

func (o *liveOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *liveOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits for text after what it has seen before. Where that does not come, it shows
// other output too.
func (o *liveOutput) await(ts *testscript.TestScript, text string, others ...*liveOutput) {
	timeout := time.After(patience)
	for end := false; ; {
		all := o.String()
		if i := strings.Index(all[o.read:], text); i >= 0 {
			o.read += i + len(text)
			return
		}
		if end {
			for _, other := range others {
				all += other.String()
			}
			ts.Fatalf("%q is not in\n%s", text, all[o.read:])
		}
		select {
		case <-o.more:
		case <-o.ended: // look once more
			end = true
		case <-timeout:
			end = true
		}
	}
}

// dialogue plays a file with an SMTP server, line by line:
//
//   - "> TEXT" is sent.
//   - "< TEXT" must be the beginning of the next line from the server.
//   - "tls" starts TLS; "tls NAME" asks for NAME and expects a certificate for it.
//   - "refuse" starts TLS and rejects the certificate.
//   - "signal NAME" and "logged TEXT" are those of the script.
//   - "end" waits until the server closes the connection.
//
// Other lines are comments.
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
