package testpeer

import (
	"os/exec"
	"strings"

	"postern/internal/testcert"
)

// StartMox starts a mox with a certificate: v0.0.12, which sends session tickets
// before the client's Finished, or v0.0.17, which sends none. It takes mail for
// user@localhost, but puts off strangers, as it cannot look anything up.
func StartMox(t T, version string, cert *testcert.Pair) *GoServer {
	t.Helper()
	binary := builtProgram(t, "mox", version)
	dir, addr := newFolder(t), freeAddr(t)
	host, port := splitAddr(t, addr)
	dir.write(t, "mox.conf", strings.NewReplacer(
		"HOST", host, "PORT", port, "CERT", cert.CertFile, "KEY", cert.KeyFile,
	).Replace(moxStatic))
	dir.write(t, "domains.conf", moxDomains)
	// Not "mox serve": that starts only as root.
	return startGoServer(t, "mox", dir, addr, exec.Command(binary, "localserve", "-dir", string(dir)))
}

// moxStatic and moxDomains are its two configuration files, in its own format:
// tabs count.
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
