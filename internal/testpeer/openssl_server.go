package testpeer

import "os/exec"

// StartOpenSSL starts `openssl s_server`, TLS from the first byte, and returns its
// address. It sends back each line that it gets, reversed. Args are further
// arguments, as "-ciphersuites".
func StartOpenSSL(t T, certFile, keyFile string, args ...string) (addr string) {
	t.Helper()
	addr = freeAddr(t)
	args = append([]string{"s_server", "-accept", addr, "-cert", certFile, "-key", keyFile, "-rev"}, args...)
	d := startDaemon(t, "openssl", newFolder(t), exec.Command(program(t, "openssl"), args...))
	awaitOutput(t, d, "ACCEPT")
	return addr
}
