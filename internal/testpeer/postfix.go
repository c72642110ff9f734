package testpeer

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/testcert"
)

// PostfixOptions configure a receiving Postfix.
type PostfixOptions struct {
	// Cert is for STARTTLS; nil: without TLS.
	Cert *testcert.Pair
	// Domains are those that it accepts mail for; nil: localhost.
	Domains []string
	// Users are the addresses that exist; nil: all in Domains.
	Users []string
	// XCLIENT offers XCLIENT to clients on loopback.
	XCLIENT bool
	// Service opens a second listener: an entry of master.cf(5) without the address, such as
	// "inet n - n - - smtpd -o name=value". It may have several lines.
	Service string
	// Config are further lines of main.cf.
	Config []string
}

// A Postfix is a receiving Postfix that delivers all mail to one Maildir.
type Postfix struct {
	Addr        string // SMTP
	ServiceAddr string // second listener; empty without Service
	Maildir     Maildir

	instance *postfixInstance
}

// StartPostfix starts a receiving Postfix.
func StartPostfix(t T, o PostfixOptions) *Postfix {
	t.Helper()
	dir := newFolder(t)
	requireRoot(t, "postfix")
	p := &Postfix{Addr: FreeAddr(t), Maildir: Maildir(dir.path("mail/box"))}
	dir.mkdir(t, "mail", "nobody")
	services := []string{p.Addr + " inet n - n - - smtpd"}
	if o.Service != "" {
		p.ServiceAddr = FreeAddr(t)
		services = append(services, p.ServiceAddr+" "+o.Service)
	}
	p.instance = startPostfix(t, dir, append(receiverSettings(t, dir, o), o.Config...), services)
	awaitGreeting(t, p.instance.daemon, "tcp", p.Addr)
	return p
}

// Log returns the log so far.
func (p *Postfix) Log() string { return readLog(p.instance.log) }

// AwaitLog waits for a log line with text and returns the first. Postfix logs with a short
// delay.
func (p *Postfix) AwaitLog(t T, text string) string {
	t.Helper()
	found := ""
	await(t, p.instance.daemon, strconv.Quote(text)+" in the log", func() error {
		for line := range strings.Lines(p.Log()) {
			if strings.Contains(line, text) {
				found = strings.TrimSpace(line)
				return nil
			}
		}
		return errors.New("not there")
	})
	return found
}

// AwaitMessages waits for at least n messages in the Maildir and returns their texts. Postfix
// acknowledges a message when it is queued, before it delivers it.
func (p *Postfix) AwaitMessages(t T, n int) []string {
	t.Helper()
	var messages []string
	await(t, p.instance.daemon, strconv.Itoa(n)+" messages", func() error {
		if got := p.Maildir.Count(t); got < n {
			return fmt.Errorf("%d of %d have arrived", got, n)
		}
		messages = p.Maildir.Messages(t)
		return nil
	})
	return messages
}

// receiverSettings returns the lines of main.cf for a receiving Postfix.
func receiverSettings(t T, dir folder, o PostfixOptions) []string {
	t.Helper()
	uid, gid := account(t, "nobody")
	settings := []string{
		"myhostname = backend.test",
		"virtual_mailbox_domains = " + strings.Join(orLocalhost(o.Domains), " "),
		"virtual_mailbox_base = " + dir.path("mail"),
		"virtual_mailbox_maps = " + mailboxes(o.Users),
		fmt.Sprintf("virtual_uid_maps = static:%d", uid),
		fmt.Sprintf("virtual_gid_maps = static:%d", gid),
		"smtpd_relay_restrictions = reject_unauth_destination",
	}
	if o.XCLIENT {
		settings = append(settings, "smtpd_authorized_xclient_hosts = 127.0.0.0/8")
	}
	if o.Cert != nil {
		settings = append(settings,
			"smtpd_tls_security_level = may",
			"smtpd_tls_chain_files = "+o.Cert.KeyFile+", "+o.Cert.CertFile,
			"smtpd_tls_loglevel = 1",
			"smtpd_tls_received_header = yes",
		)
	}
	return settings
}

func orLocalhost(domains []string) []string {
	if domains == nil {
		return []string{"localhost"}
	}
	return domains
}

// mailboxes returns a table that maps the users, or all addresses, to the Maildir.
func mailboxes(users []string) string {
	if users == nil {
		return "static:box/"
	}
	entries := make([]string, len(users))
	for i, user := range users {
		entries[i] = "{" + user + " = box/}"
	}
	return "inline:{" + strings.Join(entries, ", ") + "}"
}

// Postfix's log lines of deliveries (smtp_tls_loglevel = 2).
var (
	postfixSent     = regexp.MustCompile(`postfix/smtp\[.*status=sent`)
	postfixBounced  = regexp.MustCompile(`postfix/smtp\[.*status=bounced`)
	postfixDeferred = regexp.MustCompile(`postfix/smtp\[.*status=deferred`)
	postfixResumed  = regexp.MustCompile(`postfix/smtp\[.*: Reusing old session`)
)

// SendPostfix queues messages in a Postfix of its own and returns when all of them have been
// delivered to addr or rejected permanently. Postfix requires STARTTLS, accepts any certificate,
// resumes if it can, has at most 20 connections at a time, and retries deferred messages every
// second. The first messages that it delivers in parallel have no session to resume.
func SendPostfix(t T, addr string, o QueueOptions) QueueRun {
	t.Helper()
	o = o.orDefault()
	p := startPostfix(t, newFolder(t), append(senderSettings(t, addr, o.Handshake), o.Config...), nil)
	p.queue(t, o)
	await(t, p.daemon, "the queue to empty", func() error {
		if done := p.logged(postfixSent) + p.logged(postfixBounced); done < o.Messages {
			return fmt.Errorf("%d of %d messages done", done, o.Messages)
		}
		return nil
	})
	p.daemon.stop()
	return QueueRun{
		Sent:     p.logged(postfixSent),
		Bounced:  p.logged(postfixBounced),
		Deferred: p.logged(postfixDeferred),
		Resumed:  p.logged(postfixResumed),
		Log:      readLog(p.log),
	}
}

// senderSettings returns the lines of main.cf for a Postfix that sends to addr.
func senderSettings(t T, addr string, h Handshake) []string {
	t.Helper()
	host, port := splitAddr(t, addr)
	settings := []string{
		"myhostname = sender.test",
		fmt.Sprintf("relayhost = [%s]:%s", host, port),
		"smtp_tls_security_level = encrypt",
		"smtp_tls_loglevel = 2",
		"smtp_tls_session_cache_database = " + cacheType(t) + ":$data_directory/smtp_scache",
		"minimal_backoff_time = 1s",
		"maximal_backoff_time = 1s",
		"queue_run_delay = 1s",
		// One failed handshake must not delay all other messages.
		"default_destination_concurrency_failed_cohort_limit = 0",
		// Otherwise a bounce would arrive at addr as one more message.
		"transport_maps = inline:{sender.test=discard:}",
	}
	return append(settings, handshakeSettings(t, h)...)
}

// handshakeSettings configures Postfix for h. Groups are set in main.cf, which overrides
// OpenSSL's configuration file; signature algorithms only there.
func handshakeSettings(t T, h Handshake) []string {
	t.Helper()
	switch h {
	case RetriedHandshake:
		return []string{"tls_eecdh_auto_curves = " + strings.ReplaceAll(retryGroups, ":", " ")}
	case TLS12Handshake:
		return []string{"smtp_tls_mandatory_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1, !TLSv1.3"}
	case RSAHandshake:
		return []string{
			"smtp_tls_mandatory_exclude_ciphers = aECDSA",
			"import_environment = MAIL_CONFIG OPENSSL_CONF=" + h.opensslConfig(t, newFolder(t)),
		}
	}
	return nil
}

// queue queues the messages in the running instance.
func (p *postfixInstance) queue(t T, o QueueOptions) {
	t.Helper()
	await(t, p.daemon, "the queue", func() error {
		conn, err := net.Dial("unix", p.dir.path("queue/public/pickup"))
		if err != nil {
			return err
		}
		return conn.Close()
	})
	cmd := exec.Command(program(t, "sendmail"), "-C", p.config, "-bs")
	cmd.Stdin = strings.NewReader(o.Message.batch(o.Messages))
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.config)
	output, err := cmd.CombinedOutput()
	if err == nil && strings.Count(string(output), "Ok: queued as ") < o.Messages {
		err = errors.New("not all messages were queued")
	}
	if err != nil {
		t.Fatalf("testpeer: sendmail -bs: %v\n%s%s", err, output, p.daemon.explain())
	}
}

// A postfixInstance is a Postfix with its own configuration, queue and log.
type postfixInstance struct {
	dir    folder
	config string // configuration directory
	log    string // log file
	daemon *daemon
}

// postfixServices is the part of master.cf(5) that every instance has: the queue and its
// services, and the log without syslog. Nothing runs in a chroot.
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

// postfixFolders are the folders of the queue that the postfix user owns.
const postfixFolders = "active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace"

// postfixSettings is the part of main.cf that every instance has: only loopback, no DNS, no
// local users.
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

// startPostfix starts an instance in dir with further lines of main.cf and master.cf. Later
// lines of main.cf override earlier ones.
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
	// -e ends it after an hour: master does not receive the signal that other daemons get when
	// the test program dies.
	master := exec.Command(program(t, "master"), "-c", p.config, "-e", "3600")
	p.daemon = startDaemon(t, "master", dir, master, p.log)
	return p
}

// write writes a configuration file with an old time: Postfix rereads a file until it is two
// seconds old, in case it is still being written.
func (p *postfixInstance) write(t T, name string, lines []string) {
	t.Helper()
	path := p.dir.write(t, filepath.Join("config", name), lines...)
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatalf("testpeer: %v", err)
	}
}

// makeQueue makes the folders of the queue. "postfix check" would too, but it rewrites main.cf,
// which then is new again. Only root submits mail here, so no folder needs group access.
func (p *postfixInstance) makeQueue(t T) {
	t.Helper()
	p.dir.mkdir(t, "queue", "root")
	p.dir.mkdir(t, "queue/pid", "root")
	for _, name := range strings.Fields(postfixFolders) {
		p.dir.mkdir(t, filepath.Join("queue", name), "postfix")
	}
}

// lastWins keeps the last line for each name: Postfix warns about duplicates.
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

// cacheType returns the table type in which this Postfix can store TLS sessions.
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

// An SMTPSink is Postfix's smtp-sink: an SMTP server without TLS that accepts and discards
// everything.
type SMTPSink struct {
	Addr   string
	daemon *daemon
}

// sinkConnections is how many connections a sink serves at once; others wait.
const sinkConnections = "1000"

// StartSMTPSink starts a sink. Args are further arguments: smtp-sink(1).
func StartSMTPSink(t T, args ...string) *SMTPSink {
	t.Helper()
	addr := FreeAddr(t)
	flags := []string{"-c", "-m", sinkConnections}
	if os.Geteuid() == 0 {
		flags = append(flags, "-u", "nobody") // it refuses to serve as root
	}
	cmd := exec.Command(program(t, "smtp-sink"), append(append(flags, args...), addr, "1024")...)
	d := startDaemon(t, "smtp-sink", newFolder(t), cmd)
	awaitGreeting(t, d, "tcp", addr)
	return &SMTPSink{addr, d}
}

// sinkCounters matches what smtp-sink -c prints repeatedly on one line.
var sinkCounters = regexp.MustCompile(`mesg=([0-9]+)`)

// Messages returns how many messages the sink has received. A message counts before its sender
// gets the reply.
func (s *SMTPSink) Messages() int {
	all := sinkCounters.FindAllStringSubmatch(readLog(s.daemon.output), -1)
	if len(all) == 0 {
		return 0
	}
	count, err := strconv.Atoi(all[len(all)-1][1])
	if err != nil {
		return 0
	}
	return count
}
