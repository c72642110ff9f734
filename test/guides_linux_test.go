package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// guides are the pages whose commands an administrator types on a server.
var guides = []string{"alerts.md", "dashboard.md", "dns-records.md", "failing-senders.md", "fleet.md", "mail-from-outlook.md", "mail-servers.md", "metrics.md", "mta-sts.md", "operating.md", "probing.md", "tls-reports.md", "upgrading.md"}

// The commands of the guides are typed as they stand there, on a machine that is configured as
// docs/operating.md says: its first settings, and its hook for certbot. Only the names of what
// the examples are about are replaced. The program accepts each of them, and finds what it
// needs without --config, --data or a certain user.
func TestCommandsOfGuidesWork(t *testing.T) {
	t.Parallel()
	m := startMailServer(t)
	m.run("useradd --system --home-dir /var/lib/postern postern && mkdir -p /etc/postern && install -d -o postern -g postern /var/lib/postern")
	m.certbot()
	const hook = "/etc/letsencrypt/renewal-hooks/deploy/postern"
	m.write(hook, "#!/bin/sh\n"+recipe(t, "operating.md", "Certificates", hook+" (executable)")+"\n")
	m.run("chmod +x " + hook + " && RENEWED_LINEAGE=/etc/letsencrypt/live/mx.example.org " + hook)
	// In this mode a strict sender fails once, so that there is a failure to look at.
	m.write("/etc/postern/postern.toml", "data = \"/var/lib/postern\"\nmode = \"stock\"\n"+firstSettings(t))
	p := m.serve()

	const deliver = "postern probe --as early-ticket --deliver me@example.net ann@example.org mx.example.org"
	if printed, err := m.output(deliver); err == nil {
		t.Fatalf("the strict sender did not fail:\n%s", printed)
	}
	p.await(0, "msg=session", "case=early-ticket")
	m.run(deliver)
	capture, err := filepath.Abs("../internal/capture/testdata/early-ticket.chasquid-1.11.pcap")
	if err != nil {
		t.Fatal(err)
	}
	m.write("/run/guide/report.json", october.JSON())
	m.write("/run/guide/Maildir/new/1", october.Mail())
	m.run("cd /run/guide && gzip report.json && mkdir Maildir/cur Maildir/tmp && cp " + capture + " capture.pcap")
	session := regexp.MustCompile(`UTC  (\w+) .* failed `).FindStringSubmatch(m.eventually("postern handshakes --failed | grep early-ticket"))
	names := strings.NewReplacer(
		"JM5J7MHXEH", session[1], "imap.example.org", "mx.example.org",
		"senders show mail.example.net", "senders show "+mxAddress,
		"report show 5", "report show 1", "report explain 5", "report explain 1", "report explain 7", "report explain 1",
	)
	for _, guide := range guides {
		for _, command := range typedByAdministrators(t, guide) {
			m.write("/run/guide/command.sh", names.Replace(command))
			printed, err := m.output(fmt.Sprintf("cd /run/guide && timeout %.0f sh -eu command.sh </dev/null", patience.Seconds()))
			status := exitStatus(err)
			_, refusal, refused := strings.Cut(command, " # refused: ")
			switch {
			case refused && strings.Contains(printed, refusal):
			case strings.HasPrefix(command, "postern ") && status >= 0 && status <= 3 && !strings.Contains(printed, "postern: error:"): // it may have found something
			case status != 0:
				t.Errorf("docs/%s: %s: %v\n%s", guide, command, err, printed)
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

// typedByAdministrators returns commands in the blocks of a page, and those of postern in the
// first column of its tables: all of postern, and of the programs with which an administrator
// tries it, but those that run until they are stopped, those with a word in
// capitals for what the administrator puts there, and setup, which has stories of its own.
func typedByAdministrators(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile("(?m)^ *(?:\\$ )?(?:\\| `)?((?:postern|swaks|openssl|gnutls-cli|chown|chmod) [^`|\n]*?|\\(sleep 1; .*)(?:`[^|]*\\|.*| +# [^r].*)?$")
	other := regexp.MustCompile(`^postern (serve$|setup)|--follow|--watch| [A-Z]{2,}\b`)
	for _, match := range line.FindAllStringSubmatch(string(text), -1) {
		if !other.MatchString(match[1]) {
			all = append(all, match[1])
		}
	}
	return all
}
