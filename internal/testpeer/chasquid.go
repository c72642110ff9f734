package testpeer

import (
	"os/exec"
	"strings"

	"postern/internal/testcert"
)

// StartChasquid starts a chasquid with a certificate and without users. Debian's
// version 1.11 sends session tickets before the client's Finished.
func StartChasquid(t T, cert *testcert.Pair) *GoServer {
	t.Helper()
	binary := program(t, "chasquid")
	dir, addr := newFolder(t), freeAddr(t)
	dir.write(t, "chasquid.conf", strings.NewReplacer("DIR", string(dir), "ADDR", addr).Replace(chasquidTemplate))
	for _, name := range []string{"domains", "domains/localhost", "certs", "certs/localhost"} {
		dir.mkdir(t, name, "root")
	}
	dir.link(t, "certs/localhost/fullchain.pem", cert.CertFile)
	dir.link(t, "certs/localhost/privkey.pem", cert.KeyFile)
	return startGoServer(t, "chasquid", dir, addr, exec.Command(binary, "-config_dir", string(dir)))
}

const chasquidTemplate = `hostname: "backend.test"
smtp_address: "ADDR"
data_dir: "DIR/data"
mail_delivery_agent_bin: "/bin/false"
mail_log_path: "<stderr>"`
