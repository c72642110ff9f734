package testpeer

import (
	"os"
	"os/exec"
	"strconv"
	"strings"

	"postern/internal/testcert"
)

// Exim is a mail server that offers STARTTLS and takes no mail.
type Exim struct {
	Addr string // where it speaks SMTP
}

// StartExim starts an Exim that receives, with a certificate. Config are further
// lines of its main configuration. Debian's is built with GnuTLS, and gives session
// tickets only with tls_resumption_hosts; then before the client's Finished.
func StartExim(t T, cert *testcert.Pair, config ...string) *Exim {
	t.Helper()
	binary := program(t, "exim4")
	dir, addr := newFolder(t), freeAddr(t)
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
	awaitGreeting(t, startDaemon(t, "exim4", dir, cmd, dir.path("log/mainlog"), dir.path("log/paniclog")), "tcp", addr)
	return &Exim{addr}
}

// copy copies a file to where a server that has given up root can read it.
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
