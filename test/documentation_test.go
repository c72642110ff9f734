package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
	"postern/sessionticket/strictclient"
)

// The README's first command, in an empty folder, prints where it listens, where mail
// goes and what to try, and that works: after the first start, and after a second one
// that finds the files of the first.
func TestInstructionsOfFirstStartWork(t *testing.T) {
	if _, err := exec.LookPath("swaks"); err != nil {
		unavailable(t, "swaks is not installed: run scripts/install-peers")
	}
	dir := t.TempDir()
	followInstructions(t, dir, 1)
	made := certificates(t, dir)
	followInstructions(t, dir, 2)
	if again := certificates(t, dir); again != made || made == "" {
		t.Error("the second start created new certificates")
	}
}

// The commands of README's story of a strict sender, as they stand there: the first attempt
// fails, the second delivers, and both are explained.
func TestStoryOfStrictSenderWorks(t *testing.T) {
	const serve = "postern serve "
	dir, story := t.TempDir(), typed(t, "../README.md", "A strict sender")
	if len(story) != 5 || !strings.HasPrefix(story[0], serve) {
		t.Fatalf("the story has other commands: %q", story)
	}
	requirePort(t, "127.0.0.1:2525")
	p := launch(t, dir, strings.Fields(strings.TrimPrefix(story[0], "postern "))...)
	p.await(0, "  listens on ")
	if output, err := shell(dir, story[1]); err == nil || !strings.Contains(output, "CRITICAL     Senders like early-ticket fail") {
		t.Errorf("%s: %v, want that it fails:\n%s", story[1], err, output)
	}
	p.await(0, "msg=session", "case=early-ticket")
	if output, err := shell(dir, story[2]); err != nil || !strings.Contains(output, `The message
             to "postmaster@localhost" was accepted.`) {
		t.Errorf("%s: %v, want that it delivers:\n%s", story[2], err, output)
	}
	var failed []string
	eventually(t, func() error { // the ledger is written a moment later
		list, err := shell(dir, story[3])
		failed = regexp.MustCompile(`UTC  (\w+) .* failed     early-ticket, mode stock`).FindStringSubmatch(list)
		if err != nil || failed == nil || !strings.Contains(list, "full       TLS 1.3, mode own-write") {
			return fmt.Errorf("%s: %v, want both attempts:\n%s", story[3], err, list)
		}
		return nil
	})
	shown, err := shell(dir, story[3]+" show "+failed[1])
	if err != nil || !strings.Contains(shown, "◀════ NewSessionTicket ← before the client's Finished") || !strings.Contains(shown, "confidence   almost certain") {
		t.Errorf("%s show %s: %v\n%s", story[3], failed[1], err, shown)
	}
	if output, err := shell(dir, story[4]); err != nil || strings.Count(output, ",S=") != 1 {
		t.Errorf("%s: %v, want one message:\n%s", story[4], err, output)
	}
}

// Whoever types the commands of the tutorial sees what it says.
func TestTutorialWorks(t *testing.T) {
	dir := t.TempDir()
	command := tutorial(t, "Start it")
	requirePort(t, "127.0.0.1:2525")
	p := command.serve(t, dir)
	command = tutorial(t, "Send a message")
	command.says(t, dir, 0, "250")
	command.says(t, dir, 0, ",S=")
	command = tutorial(t, "See what it saw")
	eventually(t, func() error { // the ledger is written a moment later
		if output, err := shell(dir, command[0]); err != nil || !strings.Contains(output, "TLS 1.3, mode own-write") {
			return fmt.Errorf("%s: %v\n%s", command[0], err, output)
		}
		return nil
	})
	command.says(t, dir, 0, "full")
	command.says(t, dir, 0, "127.0.0.0/24")
	command.says(t, dir, 0, "http://127.0.0.1:8025/")
	p.terminate()

	command = tutorial(t, "Watch a sender fail")
	p = command.serve(t, dir)
	command.says(t, dir, 1, "CRITICAL     Senders like early-ticket fail over TLS")
	p.await(0, `next="mode own-write: `)
	command.says(t, dir, 0, "was accepted")
	p.terminate()
	command.says(t, dir, 0, "early-ticket, mode stock: closed silently by the client, after NewSessionTicket")
	command.says(t, dir, 0, "own-write")

	command = tutorial(t, "Put it in front of a server")
	requirePort(t, "127.0.0.1:2526")
	behind := command.serve(t, dir)
	command.serve(t, dir)
	command.says(t, dir, 0, "250")
	command.says(t, dir, 0, ",S=")
	behind.terminate()
	command.says(t, dir, 23, "451 4.4.1 cannot connect to the next hop") // the status of swaks after a refused MAIL
}

// tutorialCommands are those of a section that are still to be typed.
type tutorialCommands []string

func tutorial(t *testing.T, heading string) tutorialCommands {
	t.Helper()
	return typed(t, "../docs/tutorial.md", heading)
}

func (c *tutorialCommands) next() (command string) {
	command, *c = (*c)[0], (*c)[1:]
	return command
}

// serve types the next command, which is a server.
func (c *tutorialCommands) serve(t *testing.T, dir string) *postern {
	t.Helper()
	p := launch(t, dir, strings.Fields(strings.TrimPrefix(c.next(), "postern "))...)
	p.await(0, "Ctrl-C stops it.")
	return p
}

// says types the next command, and checks its exit status and what it prints.
func (c *tutorialCommands) says(t *testing.T, dir string, status int, words string) {
	t.Helper()
	command := c.next()
	output, err := shell(dir, command)
	if got := exitStatus(err); got != status || !strings.Contains(output, words) {
		t.Errorf("%s: exit status %d, want %d and %q:\n%s", command, got, status, words, output)
	}
}

// exitStatus is that of a command, or -1 if it did not run.
func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// The command of the page for a searcher of error texts finds the cause in a server that has
// it, and none after the cure.
func TestPageAboutOutlookFindsCause(t *testing.T) {
	all := typed(t, "../docs/mail-from-outlook.md", "Find out in a minute")
	cert := testcert.New(t, testcert.Options{})
	for _, tt := range []struct {
		version string
		failure bool
	}{{"v0.0.12", true}, {"v0.0.17", false}} {
		probe := strings.Replace(all[0], "mx.example.org", testpeer.StartMox(t, tt.version, cert), 1)
		output, _ := shell(t.TempDir(), probe)
		if strings.Contains(output, "Senders like early-ticket fail over TLS") != tt.failure {
			t.Errorf("%s against mox %s:\n%s", probe, tt.version, output)
		}
	}
}

// The page has the texts that servers with the fault log when a strict sender leaves.
func TestPageAboutOutlookHasTextsOfLogs(t *testing.T) {
	page := sectionOf(t, "../docs/mail-from-outlook.md", "If mail from outlook.com does not arrive")
	for _, tt := range []struct {
		server, text string
		start        func(testpeer.T, *testcert.Pair) string
	}{
		{"mox", "connection closed: starttls handshake: EOF (io error)", func(t testpeer.T, cert *testcert.Pair) string { return testpeer.StartMox(t, "v0.0.12", cert) }},
		{"chasquid", "STARTTLS failed: 554  5.5.0 Error in TLS handshake: EOF", testpeer.StartChasquid},
	} {
		if !strings.Contains(page, "| log of "+tt.server+" | `"+tt.text+"` |") {
			t.Errorf("the page does not have %s's %q", tt.server, tt.text)
		}
		t.Run(tt.server, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv("TMPDIR", folder) // where testpeer puts the folder of a server
			if err := startTLSStrictly(tt.start(t, testcert.New(t, testcert.Options{}))); !errors.Is(err, strictclient.ErrEarlyTicket) {
				t.Errorf("the strict client got %v", err)
			}
			eventually(t, func() error {
				logs, err := filepath.Glob(filepath.Join(folder, "*", tt.server+".out"))
				if err != nil || len(logs) != 1 {
					return fmt.Errorf("logs: %q, %v", logs, err)
				}
				log, err := os.ReadFile(logs[0])
				if err == nil && !strings.Contains(string(log), tt.text) {
					err = fmt.Errorf("no %q in the log:\n%s", tt.text, log)
				}
				return err
			})
		})
	}
}

// typed returns the lines of the blocks in language sh below a heading.
func typed(t *testing.T, file, heading string) (all []string) {
	t.Helper()
	for _, part := range strings.Split(sectionOf(t, file, heading), "\n```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		all = append(all, strings.Split(block, "\n")...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no commands below %q", file, heading)
	}
	return all
}

// sectionOf returns the text below a heading of a page, up to the next one.
func sectionOf(t *testing.T, file, heading string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "# "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", file, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	section, _, _ = strings.Cut(section, "\n### ")
	return section
}

// followInstructions starts postern in dir and runs the commands that it prints.
func followInstructions(t *testing.T, dir string, messages int) {
	t.Helper()
	requirePort(t, "127.0.0.1:2525")
	p := launch(t, dir, "serve")
	if line := p.await(0, "  listens on "); !strings.Contains(line, " 127.0.0.1:2525 ") {
		t.Errorf("it listens elsewhere: %s", line)
	}
	p.await(0, "  next hop  ", "postern-data")
	send, list := p.await(0, "  swaks "), p.await(0, "  ls ")
	if output, err := shell(dir, send); err != nil {
		t.Fatalf("%s: %v\n%s", send, err, output)
	}
	if output, err := shell(dir, list); err != nil || strings.Count(output, ",S=") != messages {
		t.Errorf("%s: %v, want a list of %d messages:\n%s", list, err, messages, output)
	}
	p.terminate()
}

// requirePort checks that the port is free.
func requirePort(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("this test needs the default port: %v", err)
	}
	listener.Close()
}

// shell runs a line as pasted into a shell, which finds the program under test.
func shell(dir, line string) (string, error) {
	if err := noteSources(); err != nil {
		return "", err
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// certificates returns the text of all certificates in the data folder.
func certificates(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "postern-data/tls/*-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}

// The configurations in docs/mail-servers.md work as described. Only addresses are replaced.
func TestRecipesForPostfix(t *testing.T) {
	for _, section := range []string{"Postfix, by the PROXY protocol", "Postfix, by XCLIENT"} {
		t.Run(section, func(t *testing.T) {
			backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{
				Service: strings.TrimPrefix(recipe(t, mailServers, section, "/etc/postfix/master.cf"), backendAddr+" "),
				Config: []string{ // Debian's, which trusts the machine itself
					"mynetworks = 127.0.0.0/8",
					"smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination",
					"smtpd_client_restrictions = check_client_access inline:{127.0.0.3=REJECT}",
				},
			})
			p := startRecipe(t, section, backendAddr, backend.ServiceAddr)
			deliverFromSender(t, p, newMessage("by recipe", 4<<10), 0)
			message := newStored(backend.AwaitMessages(t, 1)[0])
			checkWhole(t, message, "by recipe")
			if field := message.received(); !strings.Contains(field, "["+senderAddress+"]") {
				t.Errorf("Postfix's Received field: %s", field)
			}
			backend.AwaitLog(t, ": client=unknown["+senderAddress+"]")
			p.checkRefused(t, "127.0.0.3", "user@localhost", "Client host rejected")
			p.checkRefused(t, "127.0.0.1", "someone@foreign.test", "Relay access denied")
		})
	}
}

func TestRecipeForDovecot(t *testing.T) {
	const section = "Dovecot, by LMTP"
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	config := recipe(t, mailServers, section, "/etc/dovecot/local.conf")
	backend := testpeer.StartDovecot(t, testpeer.DovecotOptions{
		Config: strings.ReplaceAll(config, "user = postern", "user = "+self.Username),
	})
	p := startRecipe(t, section, "/run/dovecot/lmtp", backend.Socket)
	deliverFromSender(t, p, newMessage("by recipe", 4<<10), 0)
	checkOneWhole(t, backend.Fetch(t, "user@localhost"), "by recipe")
	p.checkRefused(t, "127.0.0.1", "someone@foreign.test", "User doesn't exist")
	socket, err := os.Stat(backend.Socket)
	if err != nil || socket.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v, want it for its owner only", socket.Mode(), err)
	}
}

// mailServers is the page of the recipes for mail servers.
const mailServers = "mail-servers.md"

// backendAddr is where the servers of the documentation listen for Postern.
const backendAddr = "127.0.0.1:10025"

// recipe returns the block below a heading of a page in docs that names file
// in its first line, without that line.
func recipe(t *testing.T, page, heading, file string) string {
	t.Helper()
	_, block, found := strings.Cut(sectionOf(t, "../docs/"+page, heading), "\n# "+file+"\n")
	block, _, closed := strings.Cut(block, "\n```")
	if !found || !closed {
		t.Fatalf("docs/%s has no block for %s below %q", page, file, heading)
	}
	return block
}

// startRecipe runs postern with the documented configuration, but with the server at
// actual as its next hop. It also accepts mail for a domain that this server does not
// know, as by mistake.
func startRecipe(t *testing.T, heading, address, actual string) *postern {
	t.Helper()
	config := recipe(t, mailServers, heading, "/etc/postern/postern.toml")
	path := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(config, address, actual)), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, "--config", path, "--domain", "foreign.test")
}

// checkRefused checks that a sender at an address gets a 5xx for the recipient, with the
// text of the next hop.
func (p *postern) checkRefused(t *testing.T, from, to, words string) {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, from, testsmtp.OpportunisticTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	message := newMessage("refused", 0)
	message.To = []string{to}
	reply, err := c.Deliver(message)
	if err != nil || !reply.Permanent() || !strings.Contains(reply.Text(), words) {
		t.Errorf("from %s to %s: %s, %v, want a 5xx with %q", from, to, reply, err, words)
	}
}
