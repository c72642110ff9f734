package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// A server is one that can play.
type server struct {
	Server
	find  func(program string) (path string, err error) // where its programs are
	start func(*testpeer.Stage, *testcert.Pair) (addr string)
}

// A peer is a kind of real server.
type peer struct {
	name    string
	program string
	root    bool     // starts only as root
	version []string // the command that tells it; nil: the program's name does
	start   func(*testpeer.Stage, *testcert.Pair) (addr string)
}

// peers are the kinds that come in one version: that which is installed.
var peers = []peer{
	{"chasquid", "chasquid", false, []string{"chasquid", "-version"},
		func(t *testpeer.Stage, cert *testcert.Pair) string { return testpeer.StartChasquid(t, cert).Addr }},
	{"Exim", "exim4", false, []string{"exim4", "-bV"},
		func(t *testpeer.Stage, cert *testcert.Pair) string { return testpeer.StartExim(t, cert).Addr }},
	{"Exim, tls_resumption_hosts", "exim4", false, []string{"exim4", "-bV"},
		func(t *testpeer.Stage, cert *testcert.Pair) string {
			return testpeer.StartExim(t, cert, "tls_resumption_hosts = *").Addr
		}},
	{"Postfix", "master", true, []string{"postconf", "-h", "mail_version"},
		func(t *testpeer.Stage, cert *testcert.Pair) string {
			return testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: cert}).Addr
		}},
	{"nginx mail proxy", "nginx", false, []string{"nginx", "-v"},
		func(t *testpeer.Stage, cert *testcert.Pair) string {
			// Nobody gets as far as the server behind it.
			return testpeer.StartNginx(t, testpeer.NginxOptions{Backend: "127.0.0.1:1", Cert: cert}).Addr
		}},
}

// goPeers are the kinds that are built in versions, as NAME-VERSION.
var goPeers = []struct {
	name  string
	start func(t testpeer.T, version string, cert *testcert.Pair) *testpeer.GoServer
}{{"mox", testpeer.StartMox}, {"maddy", testpeer.StartMaddy}}

// servers returns the real servers that are here and can be started, and tells which are not.
func (p programs) servers(ctx context.Context) (found []*server, missing []Absence) {
	for _, kind := range goPeers {
		versions := p.versions(kind.name)
		for _, path := range versions {
			version := strings.TrimPrefix(filepath.Base(path), kind.name+"-")
			found = append(found, &server{
				Server: Server{Name: kind.name, Version: version},
				find:   func(string) (string, error) { return path, nil },
				start: func(t *testpeer.Stage, cert *testcert.Pair) string {
					return kind.start(t, version, cert).Addr
				},
			})
		}
		if versions == nil {
			missing = append(missing, Absence{Name: kind.name, Why: "not found"})
		}
	}
	for _, kind := range peers {
		_, err := p.find(kind.program)
		switch {
		case err != nil:
			missing = append(missing, Absence{Name: kind.name, Why: "not found"})
		case kind.root && os.Geteuid() != 0:
			missing = append(missing, Absence{Name: kind.name, Why: "needs root"})
		default:
			version := p.version(ctx, kind.version...)
			found = append(found, &server{Server{Name: kind.name, Version: version}, p.find, kind.start})
		}
	}
	return found, missing
}
