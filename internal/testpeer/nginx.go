package testpeer

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"postern/internal/testcert"
)

// NginxOptions configure an nginx mail proxy.
type NginxOptions struct {
	Backend string         // host:port of the SMTP server behind it
	Cert    *testcert.Pair // for STARTTLS; nil: without TLS
}

// nginxConnections is how many connections the proxy may hold; each sender takes two.
const nginxConnections = "4096"

// StartNginx starts nginx as an SMTP proxy with one worker, and returns its address. It answers
// EHLO and STARTTLS itself and forwards everything to the backend from the first RCPT on.
func StartNginx(t T, o NginxOptions) (addr string) {
	t.Helper()
	binary := program(t, "nginx")
	addr = FreeAddr(t)
	return runNginx(t, binary, addr, "mail", nginxMail(t, addr, o))
}

// runNginx starts nginx with a module, mail or stream, and the module's block, and returns addr,
// at which it listens.
func runNginx(t T, binary, addr, module, block string) string {
	t.Helper()
	dir, user := newFolder(t), ""
	if os.Geteuid() == 0 {
		user = "user root;" // the worker must write the log
	}
	config := dir.write(t, "nginx.conf", strings.NewReplacer(
		"MODULE", nginxModule(t, module), "USER", user, "DIR", string(dir), "CONNECTIONS", nginxConnections,
	).Replace(nginxHead)+block)
	log := dir.path("error.log")
	return startServer(t, "nginx", dir, addr, exec.Command(binary, "-e", log, "-p", string(dir), "-c", config), log)
}

// nginxModule returns the path of a module, mail or stream.
func nginxModule(t T, name string) string {
	t.Helper()
	module := "/usr/lib/nginx/modules/ngx_" + name + "_module.so"
	if _, err := os.Stat(module); err != nil {
		unavailable(t, "nginx has no %s module: %v: run scripts/install-peers", name, err)
	}
	return module
}

// nginxMail is the block for a mail proxy that listens on addr.
func nginxMail(t T, addr string, o NginxOptions) string {
	t.Helper()
	secure := "starttls off;"
	if o.Cert != nil {
		secure = "starttls on;\n    ssl_certificate " + o.Cert.CertFile + ";\n    ssl_certificate_key " + o.Cert.KeyFile + ";"
	}
	return strings.NewReplacer("ADDR", addr, "ROUTER", startRouter(t, o.Backend), "SECURE", secure).Replace(nginxMailTemplate)
}

const nginxHead = `load_module MODULE;
USER
daemon off;
worker_processes 1;
pid DIR/nginx.pid;
error_log DIR/error.log warn;
events {
  worker_connections CONNECTIONS;
}
`

const nginxMailTemplate = `mail {
  server_name front.test;
  auth_http ROUTER/;
  server {
    listen ADDR backlog=1024;
    protocol smtp;
    smtp_auth none;
    proxy on;
    xclient off;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:sessions:10m;
    SECURE
  }
}`

// startRouter starts the server that sends each client to backend, in nginx's auth_http
// protocol.
func startRouter(t T, backend string) (addr string) {
	t.Helper()
	host, port := splitAddr(t, backend)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Auth-Status", "OK")
		w.Header().Set("Auth-Server", host)
		w.Header().Set("Auth-Port", port)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with Close
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return listener.Addr().String()
}
