package testpeer

import (
	"os/exec"
	"strings"

	"postern/internal/testcert"
)

// StartMaddy starts a maddy with a certificate: v0.7.1, which sends session
// tickets before the client's Finished, or v0.8.1, which sends none. It takes
// mail for localhost and throws it away.
func StartMaddy(t T, version string, cert *testcert.Pair) *GoServer {
	t.Helper()
	binary := builtProgram(t, "maddy", version)
	dir, addr := newFolder(t), freeAddr(t)
	config := dir.write(t, "maddy.conf", strings.NewReplacer(
		"DIR", string(dir), "ADDR", addr, "CERT", cert.CertFile, "KEY", cert.KeyFile,
	).Replace(maddyTemplate))
	return startGoServer(t, "maddy", dir, addr, exec.Command(binary, "--config", config, "run"))
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
