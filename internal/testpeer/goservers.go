package testpeer

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"postern/internal/testcert"
)

// startServer starts a daemon that speaks SMTP on addr, which it returns.
func startServer(t T, name string, dir folder, addr string, cmd *exec.Cmd, logs ...string) string {
	t.Helper()
	awaitGreeting(t, startDaemon(t, name, dir, cmd, logs...), "tcp", addr)
	return addr
}

// BuiltProgram returns the path of a server, such as mox v0.0.17, that scripts/build-peers has
// built with this version of Go, or ends the test.
func BuiltProgram(t T, name, version string) string {
	t.Helper()
	if path, ok := scopeProgram(t, name+"-"+version); ok {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	path, err := exec.LookPath(filepath.Join(cache, "postern-peers", runtime.Version(), name+"-"+version))
	if err != nil {
		unavailable(t, "%s %s is not built with %s: run scripts/build-peers", name, version, runtime.Version())
	}
	return path
}

// StartMox starts a mox and returns its address: v0.0.12, which sends session tickets before
// the client's Finished, or v0.0.17, which sends none. It accepts mail for user@localhost, but
// defers unknown senders, since it has no DNS.
func StartMox(t T, version string, cert *testcert.Pair) (addr string) {
	t.Helper()
	binary := BuiltProgram(t, "mox", version)
	dir, addr := newFolder(t), FreeAddr(t)
	host, port := splitAddr(t, addr)
	dir.write(t, "mox.conf", strings.NewReplacer(
		"HOST", host, "PORT", port, "CERT", cert.CertFile, "KEY", cert.KeyFile,
	).Replace(moxStatic))
	dir.write(t, "domains.conf", moxDomains)
	// Not "mox serve": that starts only as root.
	return startServer(t, "mox", dir, addr, exec.Command(binary, "localserve", "-dir", string(dir)))
}

// moxStatic and moxDomains are its configuration files. Tabs are significant.
const (
	moxStatic = `DataDir: .
LogLevel: debug
User: 0
Hostname: localhost
Listeners:
	local:
		IPs:
			- HOST
		TLS:
			KeyCerts:
				-
					CertFile: CERT
					KeyFile: KEY
		SMTP:
			Enabled: true
			Port: PORT
Postmaster:
	Account: user
	Mailbox: Inbox`

	moxDomains = `Domains:
	localhost: nil
Accounts:
	user:
		Domain: localhost
		Destinations:
			user@localhost: nil`
)

// StartMaddy starts a maddy and returns its address: v0.7.1, which sends session tickets
// before the client's Finished, or v0.8.1, which sends none. It accepts mail for localhost and
// discards it.
func StartMaddy(t T, version string, cert *testcert.Pair) (addr string) {
	t.Helper()
	binary := BuiltProgram(t, "maddy", version)
	dir, addr := newFolder(t), FreeAddr(t)
	config := dir.write(t, "maddy.conf", strings.NewReplacer(
		"DIR", string(dir), "ADDR", addr, "CERT", cert.CertFile, "KEY", cert.KeyFile,
	).Replace(maddyTemplate))
	return startServer(t, "maddy", dir, addr, exec.Command(binary, "--config", config, "run"))
}

const maddyTemplate = `hostname backend.test
state_dir DIR/state
runtime_dir DIR/run
log stderr
tls file CERT KEY
smtp tcp://ADDR {
    dmarc no
    default_source {
        destination localhost {
            deliver_to dummy
        }
        default_destination {
            reject 550 5.1.1 "no such user"
        }
    }
}`

// StartChasquid starts a chasquid without users and returns its address. Debian's version
// 1.11 sends session tickets before the client's Finished.
func StartChasquid(t T, cert *testcert.Pair) (addr string) {
	t.Helper()
	binary := program(t, "chasquid")
	dir, addr := newFolder(t), FreeAddr(t)
	dir.write(t, "chasquid.conf", strings.NewReplacer("DIR", string(dir), "ADDR", addr).Replace(chasquidTemplate))
	for _, name := range []string{"domains", "domains/localhost", "certs", "certs/localhost"} {
		dir.mkdir(t, name, "root")
	}
	dir.link(t, "certs/localhost/fullchain.pem", cert.CertFile)
	dir.link(t, "certs/localhost/privkey.pem", cert.KeyFile)
	return startServer(t, "chasquid", dir, addr, exec.Command(binary, "-config_dir", string(dir)))
}

const chasquidTemplate = `hostname: "backend.test"
smtp_address: "ADDR"
data_dir: "DIR/data"
mail_delivery_agent_bin: "/bin/false"
mail_log_path: "<stderr>"`
