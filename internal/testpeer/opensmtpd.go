package testpeer

import (
	"os/exec"
	"path/filepath"
	"strings"

	"postern/internal/testcert"
)

// StartOpenSMTPD starts an OpenSMTPD with STARTTLS that accepts no mail, and returns its
// address: 6.8.0p2, which Debian 12 has built with an incompatible OpenSSL, so that no handshake
// completes (https://github.com/OpenSMTPD/OpenSMTPD/issues/1171), or 7.4.0p1.
func StartOpenSMTPD(t T, version string, cert *testcert.Pair) (addr string) {
	t.Helper()
	requireRoot(t, "smtpd")
	binary := unpackedProgram(t, "opensmtpd-"+version, "smtpd")
	dir, addr := newFolder(t), FreeAddr(t)
	for _, name := range []string{"lib", "lib/opensmtpd", "lib/opensmtpd/empty", "spool", "run"} {
		dir.mkdir(t, name, "root")
	}
	dir.write(t, "resolv.conf", "lookup file")
	host, port := splitAddr(t, addr)
	config := dir.write(t, "smtpd.conf", strings.NewReplacer(
		"HOST", host, "PORT", port, "CERT", cert.CertFile, "KEY", cert.KeyFile,
	).Replace(openSMTPDTemplate))
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", openSMTPDScript, string(dir), binary, config)
	return startServer(t, "smtpd", dir, addr, cmd)
}

// openSMTPDScript gives the server, in a mount namespace, private copies of the folders whose
// paths are compiled in, and no DNS.
const openSMTPDScript = `mount --bind "$0/resolv.conf" /etc/resolv.conf
mount --bind "$0/lib" /var/lib
mount --bind "$0/spool" /var/spool
mount --bind "$0/run" /run
exec "$1" -d -f "$2"`

const openSMTPDTemplate = `pki backend.test cert "CERT"
pki backend.test key "KEY"
listen on HOST port PORT tls pki backend.test hostname backend.test
match from any for any reject`

// unpackedProgram returns the path of a server that scripts/install-peers has unpacked
// into a folder, or ends the test.
func unpackedProgram(t T, folder, name string) string {
	t.Helper()
	if path, ok := scopeProgram(t, folder); ok {
		return path
	}
	path, err := exec.LookPath(filepath.Join(moduleRoot(), ".cache", folder, "usr/sbin", name))
	if err != nil {
		unavailable(t, "%s is not installed: run scripts/install-peers", folder)
	}
	return path
}
