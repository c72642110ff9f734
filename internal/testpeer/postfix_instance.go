package testpeer

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// postfixInstance is a Postfix with a configuration, queue and log of its own.
type postfixInstance struct {
	dir    folder
	config string // configuration directory
	log    string // log file
	daemon *daemon
}

// postfixServices is the part of master.cf(5) that every instance has: the
// queue, what it calls upon, and the log without syslog. Nothing is chrooted.
const postfixServices = `pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd`

// postfixFolders are those of the queue that belong to the mail system.
const postfixFolders = "active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace"

// postfixSettings is the part of main.cf that every instance has: only
// loopback, no DNS, no local users. The configuration lies in the instance's folder.
const postfixSettings = `compatibility_level = 3.6
queue_directory = $config_directory/../queue
data_directory = $config_directory/../data
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
mydestination =
alias_maps =
in_flow_delay = 0`

// startPostfix starts an instance in dir with further lines of main.cf and
// master.cf; a later line of main.cf wins over an earlier one.
func startPostfix(t T, dir folder, settings, services []string) *postfixInstance {
	t.Helper()
	requireRoot(t, "postfix")
	p := &postfixInstance{dir: dir, config: dir.path("config"), log: dir.path("mail.log")}
	dir.mkdir(t, "config", "root")
	dir.mkdir(t, "data", "postfix")
	logTo := []string{"maillog_file = " + p.log, "maillog_file_prefixes = " + string(dir)}
	settings = slices.Concat(strings.Split(postfixSettings, "\n"), logTo, settings)
	p.write(t, "main.cf", lastWins(settings))
	p.write(t, "master.cf", append(services, postfixServices))
	p.makeQueue(t)
	// -e ends it some day if nobody does: it sheds the signal that other
	// daemons get when the test program dies.
	master := exec.Command(program(t, "master"), "-c", p.config, "-e", "3600")
	p.daemon = startDaemon(t, "master", dir, master, p.log)
	return p
}

// write writes a configuration file and dates it back: Postfix reads a file
// again and again until it is two seconds old, lest it be half-written.
func (p *postfixInstance) write(t T, name string, lines []string) {
	t.Helper()
	path := p.dir.write(t, filepath.Join("config", name), lines...)
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatalf("testpeer: %v", err)
	}
}

// makeQueue makes the folders of the queue. "postfix check" would too, but
// rewrites main.cf, which then is young again. Only root hands in mail here,
// so no folder has to be open to a group.
func (p *postfixInstance) makeQueue(t T) {
	t.Helper()
	p.dir.mkdir(t, "queue", "root")
	p.dir.mkdir(t, "queue/pid", "root")
	for _, name := range strings.Fields(postfixFolders) {
		p.dir.mkdir(t, filepath.Join("queue", name), "postfix")
	}
}

// lastWins keeps the last line for each name, since Postfix warns of earlier ones.
func lastWins(lines []string) []string {
	place := make(map[string]int)
	var kept []string
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if i, again := place[name]; again {
			kept[i] = line
			continue
		}
		place[name] = len(kept)
		kept = append(kept, line)
	}
	return kept
}

// cacheType is the kind of table that this Postfix can keep TLS sessions in.
func cacheType(t T) string {
	t.Helper()
	types, err := exec.Command(program(t, "postconf"), "-m").Output()
	if err != nil {
		t.Fatalf("testpeer: postconf -m: %v", err)
	}
	if bytes.Contains(types, []byte("lmdb\n")) {
		return "lmdb"
	}
	return "btree"
}

// logged counts the matches of pattern in the log so far.
func (p *postfixInstance) logged(pattern *regexp.Regexp) int {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return 0
	}
	return len(pattern.FindAllIndex(text, -1))
}
