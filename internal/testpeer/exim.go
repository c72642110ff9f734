package testpeer

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"postern/internal/testcert"
)

// Exim's log lines of deliveries. A star in the X= field means a resumed session
// (log_selector = +tls_resumption).
var (
	eximSent     = regexp.MustCompile(`(?m) => .* T=remote .*$`)
	eximBounced  = regexp.MustCompile(`(?m) \*\* .* T=remote.*$`)
	eximDeferred = regexp.MustCompile(`(?m) == .* T=remote.*$`)
	eximResumed  = regexp.MustCompile(`(?m) => .* T=remote .* X=\S*\*.*$`)
)

// eximRounds is how often a queue is run if messages are deferred.
const eximRounds = 5

// SendExim queues messages in an Exim of its own and runs the queue to addr, one message after
// another, several times if messages are deferred. Exim requires STARTTLS, accepts any
// certificate and resumes if it can.
func SendExim(t T, addr string, o QueueOptions) QueueRun {
	t.Helper()
	o = o.orDefault()
	binary := program(t, "exim4")
	dir := newFolder(t)
	dir.mkdir(t, "spool", eximUser)
	dir.mkdir(t, "log", eximUser)
	config := dir.write(t, "exim.conf", eximConfig(t, dir, addr, o))

	run := func(stdin string, args ...string) string {
		return eximRun(t, dir, binary, stdin, append([]string{"-C", config}, args...))
	}
	printed := run(o.Message.batch(o.Messages), "-odq", "-bS")
	result := QueueRun{}
	for range eximRounds {
		printed += run("", "-qff") // -ff retries at once what was deferred
		// Without root Exim prints its log instead of writing it.
		result = eximResult(readLog(dir.path("log/mainlog")) + printed)
		if result.Sent+result.Bounced >= o.Messages {
			break
		}
	}
	return result
}

// eximResult counts deliveries in the log.
func eximResult(log string) QueueRun {
	return QueueRun{
		Sent:     len(eximSent.FindAllString(log, -1)),
		Bounced:  len(eximBounced.FindAllString(log, -1)),
		Deferred: len(eximDeferred.FindAllString(log, -1)),
		Resumed:  len(eximResumed.FindAllString(log, -1)),
		Log:      log,
	}
}

// eximUser is the user that Exim changes to if it starts as root.
const eximUser = "Debian-exim"

// eximIdentity returns the ids that Exim delivers under.
func eximIdentity(t T) (uid, gid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		return os.Geteuid(), os.Getegid()
	}
	return account(t, eximUser)
}

// eximRun runs Exim to its end and returns its output. The exit status does not say whether
// mail was delivered.
func eximRun(t T, dir folder, binary, stdin string, args []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(contextOf(t), awaitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdin = strings.NewReader(stdin)
	output, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("testpeer: exim4 %s: %v\n%s%s%s", strings.Join(args, " "), err, output,
			tail(dir.path("log/mainlog")), tail(dir.path("log/paniclog")))
	}
	return string(output)
}

// eximConfig is the configuration of an Exim that sends everything to addr.
func eximConfig(t T, dir folder, addr string, o QueueOptions) string {
	t.Helper()
	host, port := splitAddr(t, addr)
	uid, gid := eximIdentity(t)
	return strings.NewReplacer(
		"UID", strconv.Itoa(uid), "GID", strconv.Itoa(gid),
		"DIR", string(dir), "HOST", host, "PORT", port,
		"PRIORITY", o.Handshake.gnutlsPriority(), "MORE", strings.Join(o.Config, "\n  "),
	).Replace(eximTemplate)
}

const eximTemplate = `exim_user = UID
exim_group = GID
trusted_users = UID
primary_hostname = sender.test
spool_directory = DIR/spool
log_file_path = DIR/log/%slog
log_selector = +tls_resumption
keep_environment =
never_users =

begin routers
bounce:
  driver = redirect
  senders = :
  data = :blackhole:
  allow_fail
all:
  driver = manualroute
  route_list = * HOST
  self = send
  transport = remote

begin transports
remote:
  driver = smtp
  port = PORT
  allow_localhost
  hosts_require_tls = *
  tls_verify_hosts =
  tls_try_verify_hosts =
  tls_resumption_hosts = *
  tls_require_ciphers = PRIORITY
  MORE

begin retry
* * F,1h,1s
`

// StartExim starts an Exim with STARTTLS that accepts no mail, and returns its address. Config
// are further lines of its main configuration. Debian's Exim is built with GnuTLS. It sends
// session tickets only with tls_resumption_hosts, and then before the client's Finished.
func StartExim(t T, cert *testcert.Pair, config ...string) (addr string) {
	t.Helper()
	binary := program(t, "exim4")
	dir, addr := newFolder(t), FreeAddr(t)
	dir.mkdir(t, "spool", eximUser)
	dir.mkdir(t, "log", eximUser)
	host, port := splitAddr(t, addr)
	uid, gid := eximIdentity(t)
	file := dir.write(t, "exim.conf", strings.NewReplacer(
		"UID", strconv.Itoa(uid), "GID", strconv.Itoa(gid), "DIR", string(dir), "HOST", host, "PORT", port,
		"MORE", strings.Join(config, "\n"),
		"CERT", dir.copy(t, "cert.pem", cert.CertFile), "KEY", dir.copy(t, "key.pem", cert.KeyFile),
	).Replace(eximServerTemplate))
	cmd := exec.Command(binary, "-C", file, "-bdf")
	return startServer(t, "exim4", dir, addr, cmd, dir.path("log/mainlog"), dir.path("log/paniclog"))
}

// copy copies a file into the folder, where a server that has dropped root can read it.
func (f folder) copy(t T, name, from string) (path string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	return f.write(t, name, strings.TrimSuffix(string(content), "\n"))
}

const eximServerTemplate = `exim_user = UID
exim_group = GID
primary_hostname = backend.test
spool_directory = DIR/spool
log_file_path = DIR/log/%slog
pid_file_path = DIR/exim.pid
keep_environment =
never_users =
local_interfaces = HOST
daemon_smtp_ports = PORT
smtp_accept_max = 0
tls_advertise_hosts = *
tls_certificate = CERT
tls_privatekey = KEY
MORE
`
