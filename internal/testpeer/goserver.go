package testpeer

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// GoServer is a mail server written in Go: what its STARTTLS does, crypto/tls
// does. It ends with its test.
type GoServer struct {
	Addr string // where it speaks SMTP
}

// startGoServer starts the server that cmd is, which listens on addr.
func startGoServer(t T, name string, dir folder, addr string, cmd *exec.Cmd) *GoServer {
	t.Helper()
	awaitGreeting(t, startDaemon(t, name, dir, cmd), "tcp", addr)
	return &GoServer{addr}
}

// builtProgram returns the path of a server that scripts/build-peers has built
// with the Go version at hand, or ends the test.
func builtProgram(t T, name, version string) string {
	t.Helper()
	if path, ok := programElsewhere(t, name+"-"+version); ok {
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
