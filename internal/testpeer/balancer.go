package testpeer

import (
	"net"
	"os/exec"
	"strings"
)

// BalancerOptions configure a load balancer in TCP mode. It connects from 127.0.0.1.
type BalancerOptions struct {
	Config  string // has ADDR, ADDR6 and BACKEND in place of its addresses on IPv4 and IPv6, and the backend's
	Backend string // host:port that takes PROXY protocol headers
}

// StartHAProxy starts HAProxy and returns its addresses on IPv4 and IPv6.
func StartHAProxy(t T, o BalancerOptions) (addr, addr6 string) {
	t.Helper()
	binary := program(t, "haproxy")
	dir := newFolder(t)
	text, addr, addr6 := o.placed(t)
	config := dir.write(t, "haproxy.cfg", text+"\n")
	return startServer(t, "haproxy", dir, addr, exec.Command(binary, "-db", "-f", config)), addr6
}

// StartNginxStream starts nginx with a stream block, and returns its addresses on IPv4 and IPv6.
func StartNginxStream(t T, o BalancerOptions) (addr, addr6 string) {
	t.Helper()
	binary := program(t, "nginx")
	text, addr, addr6 := o.placed(t)
	return runNginx(t, binary, addr, "stream", text), addr6
}

// StartNginxMail starts nginx with a mail block and what it needs besides, and returns its addresses
// on IPv4 and IPv6. AUTH in the configuration is in place of the address of the server that it asks.
func StartNginxMail(t T, o BalancerOptions) (addr, addr6 string) {
	t.Helper()
	binary := program(t, "nginx")
	text, addr, addr6 := o.placed(t)
	return runNginx(t, binary, addr, "mail", strings.ReplaceAll(text, "AUTH", FreeAddr(t))), addr6
}

// placed returns the configuration with free addresses.
func (o BalancerOptions) placed(t T) (config, addr, addr6 string) {
	t.Helper()
	addr = FreeAddr(t)
	_, port := splitAddr(t, addr)
	addr6 = net.JoinHostPort("::1", port)
	return strings.NewReplacer("ADDR6", addr6, "ADDR", addr, "BACKEND", o.Backend).Replace(o.Config), addr, addr6
}
