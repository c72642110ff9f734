package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// notForAdministrators are pages for those who change Postern; the tutorial has a story of its own, and
// docs/exit-status.md repeats the help.
var notForAdministrators = []string{"README.md", "accuracy.md", "architecture.md", "dependencies.md", "exit-status.md", "glossary.md",
	"interop-matrix.md", "releasing.md", "tests.md", "transcript-format.md", "tutorial.md"}

// All that an administrator may type on a server is typed as it stands in the documentation: here,
// on a machine that is configured as docs/operating.md says, with its first settings and its hook for
// certbot, or in another story, which has it by documented. Only the names of what the examples are
// about are replaced. The program accepts each command, and finds what it needs without --config,
// --data or a certain user.
func TestCommandsOfGuidesWork(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "swaks", "openssl", "gnutls-cli", "tcpdump", "sqlite3", "curl", "promtool")
	m := startMailServer(t, "mta-sts.example.org. A "+mxAddress)
	m.run("useradd --system --home-dir /var/lib/postern postern && mkdir -p /etc/postern && install -d -o postern -g postern /var/lib/postern")
	m.certbot("mta-sts.example.org")
	const hook = "/etc/letsencrypt/renewal-hooks/deploy/postern"
	m.write(hook, "#!/bin/sh\n"+recipe(t, "operating.md", "Certificates", hook+" (executable)")+"\n")
	m.run("chmod +x " + hook + " && RENEWED_LINEAGE=/etc/letsencrypt/live/mx.example.org " + hook)
	// There is a failure to look at, since in this mode a strict sender fails once, and an alert, since
	// a certificate expires soon.
	m.run("cd /etc/postern && openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=mx.example.org -keyout rsa.key -out rsa.pem && chown postern rsa.key")
	m.write("/etc/postern/postern.toml", "data = \"/var/lib/postern\"\nmode = \"stock\"\nweb.listen = [\":443\"]\n"+firstSettings(t)+
		"[[certificate]]\ncert = \"/etc/postern/rsa.pem\"\nkey = \"/etc/postern/rsa.key\"\n[mta-sts]\nmode = \"testing\"\n")
	m.write("/run/guide/report.json", october.JSON())
	m.write("/run/guide/Maildir/new/1", october.Mail())
	rules, err := filepath.Abs("../deploy/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	m.run("cd /run/guide && gzip report.json && mkdir Maildir/cur Maildir/tmp && cp " + rules + "/*.yml . && ln -s /var/lib/postern/ledger.db $(command -v postern) .")
	p := m.serve()
	p.await(0, `msg="alert began" alert=1`)

	watching := m.start(documented(t, "failing-senders.md", "postern handshakes --follow"))
	capturing := m.start(documented(t, "failing-senders.md", "tcpdump "))
	capturing.await("listening on")
	const deliver = "postern probe --as early-ticket --deliver me@example.net ann@example.org mx.example.org"
	if printed, err := m.output(deliver); err == nil {
		t.Fatalf("the strict sender did not fail:\n%s", printed)
	}
	p.await(0, "msg=session", "case=early-ticket")
	m.eventually(deliver)
	watching.await("early-ticket, mode stock")
	watching.end()
	m.eventually("kill -USR2 " + capturing.pid + "; postern explain /run/guide/capture.pcap | grep 'case  *early-ticket'") // so that tcpdump writes what it has
	capturing.end()
	session := regexp.MustCompile(`UTC  (\w+) .* failed `).FindStringSubmatch(m.eventually("postern handshakes --failed | grep early-ticket"))

	names := strings.NewReplacer(
		"JM5J7MHXEH", session[1], "imap.example.org", "mx.example.org", "BALANCER", "mx.example.org",
		"senders show mail.example.net", "senders show "+mxAddress, "SENDER", mxAddress,
		"report show 5", "report show 1", "report explain 5", "report explain 1", "report explain 7", "report explain 1",
		"explain FILE", "explain capture.pcap", "sqlite3 ASIDE", "sqlite3 ledger.db", "accept untrusted", "accept early-ticket",
		"$POSTERN_TIME", "1764000000", "$BODY", "{}", "$SECRET", "secret", // of a webhook
		"ack NUMBER", "ack 1",
	)
	elsewhere := typedInStories(t)
	for _, page := range guides(t) {
		for _, command := range commandsOf(t, page) {
			if slices.ContainsFunc(elsewhere, func(prefix string) bool { return strings.HasPrefix(command, prefix) }) {
				continue
			}
			m.write("/run/guide/command.sh", names.Replace(command))
			printed, err := m.output(fmt.Sprintf("cd /run/guide && timeout %.0f sh -eu command.sh </dev/null", patience.Seconds()))
			status := exitStatus(err)
			_, refusal, refused := strings.Cut(command, " # refused: ")
			switch {
			case refused && strings.Contains(printed, refusal):
			case strings.HasPrefix(strings.TrimPrefix(command, "./"), "postern ") && status >= 0 && status <= 3 && !strings.Contains(printed, "postern: error:"): // it may have found something
			case status != 0:
				t.Errorf("docs/%s: %s: %v\n%s", page, command, err, printed)
			}
		}
	}
	m.stop(p)
}

// firstSettings is the configuration that a server on the Internet needs.
func firstSettings(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(page), "\n```toml\n# /etc/postern/postern.toml\n")
	block, _, closed := strings.Cut(block, "\n```")
	if !found || !closed {
		t.Fatal("docs/operating.md has no block for /etc/postern/postern.toml")
	}
	return block + "\n"
}

// guides returns the pages for administrators.
func guides(t *testing.T) (pages []string) {
	t.Helper()
	all, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if page := filepath.Base(path); !slices.Contains(notForAdministrators, page) {
			pages = append(pages, page)
		}
	}
	return pages
}

var (
	inlineCommand = regexp.MustCompile("(\n\\| )?`((?:\\./)?(?:postern|swaks|curl|sqlite3|systemctl|journalctl|doveadm|exim4|smtpd|tcpdump|ssh|promtool|podman|apt|dpkg|rpm) [^`]+|update-exim4\\.conf)`")
	// namedOnly is what a text names, often without what it needs to be typed.
	namedOnly = regexp.MustCompile(`^(postern( [a-z]+)*|systemctl [a-z]+)$`)
	inStory   = regexp.MustCompile(`(?:documented\([a-z.]+, |\.types\()(?:"[^"]+"|mailServers), ("(?:[^"\\]|\\.)*")\)`)
)

// commandsOf returns the commands of a page: the lines of blocks in language sh, the lines after a
// prompt in other blocks, those in the first column of tables and those in the text. It leaves out
// scripts, and the demo, which needs a clone.
func commandsOf(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(text), "```") {
		language, block, _ := strings.Cut(part, "\n")
		switch {
		case i%2 == 0:
			for _, match := range inlineCommand.FindAllStringSubmatch(part, -1) {
				if command := strings.ReplaceAll(match[2], "\n", " "); match[1] != "" || !namedOnly.MatchString(command) {
					all = append(all, command)
				}
			}
		case language == "sh" && !strings.HasPrefix(block, "#!"):
			all = append(all, strings.Split(strings.TrimSpace(block), "\n")...)
		default:
			for line := range strings.Lines(block) {
				if command, prompted := strings.CutPrefix(strings.TrimSpace(line), "$ "); prompted {
					all = append(all, command)
				}
			}
		}
	}
	return slices.DeleteFunc(all, func(command string) bool { return strings.HasPrefix(command, "go run ./cmd/postern-lab ") })
}

// documented returns the first command of a page in docs with that beginning. A story that types it
// has it from here, so that [TestCommandsOfGuidesWork] knows.
func documented(t *testing.T, page, beginning string) string {
	t.Helper()
	for _, command := range commandsOf(t, page) {
		if strings.HasPrefix(command, beginning) {
			return command
		}
	}
	t.Fatalf("docs/%s has no command that begins with %q", page, beginning)
	return ""
}

// typedInStories returns the beginnings of the commands that stories have by documented.
func typedInStories(t *testing.T) (beginnings []string) {
	t.Helper()
	stories, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, story := range stories {
		source, err := os.ReadFile(story)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range inStory.FindAllStringSubmatch(string(source), -1) {
			beginning, err := strconv.Unquote(match[1])
			if err != nil {
				t.Fatal(err)
			}
			beginnings = append(beginnings, beginning)
		}
	}
	return beginnings
}
