package test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testzone"
	"postern/mtasts"
)

// A publicServer is a postern on the standard ports of a loopback address, which its zone
// has for mx.example.test and mta-sts.example.test.
type publicServer struct {
	*postern
	addr  string
	ca    *testcert.CA
	files certFiles
	roots *x509.CertPool
}

// startPublicServer starts postern with mode enforce.
func startPublicServer(t *testing.T) *publicServer {
	t.Helper()
	f := &publicServer{ca: testcert.NewCA(t), addr: fmt.Sprintf("127.43.%d.%d", os.Getpid()>>8&0xff, os.Getpid()&0xff|1)}
	ln, err := net.Listen("tcp", f.addr+":25")
	if err != nil {
		unavailable(t, fmt.Sprintf("this test needs port 25 of a loopback address: %v", err))
	}
	ln.Close()
	t.Setenv("SSL_CERT_FILE", f.ca.File) // what postern trusts
	pair := testcert.New(t, testcert.Options{Names: []string{"mx.example.test", "mta-sts.example.test"}, CA: f.ca})
	f.files, f.roots = newCertFiles(t, pair), pair.Pool
	resolver := testzone.Start(t, testzone.Zone{Name: ".", Records: []string{
		"example.test. MX 10 mx.example.test.", "mx.example.test. A " + f.addr, "mta-sts.example.test. A " + f.addr,
	}}).Addr
	dir := t.TempDir()
	config := fmt.Sprintf(`hostname = "mx.example.test"
domains = ["example.test"]
listen = ["%[1]s:25"]
data = "data"
web.listen = ["%[1]s:443"]
mta-sts = { mode = "enforce", resolver = "%[2]s" }
certificate = [{ cert = "%[3]s", key = "%[4]s" }]
`, f.addr, resolver, f.files.cert, f.files.key)
	if err := os.WriteFile(filepath.Join(dir, "postern.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	f.postern = launch(t, dir, "serve", "--config", "postern.toml")
	return f
}

// installCertificate replaces the certificate by one for names, and reloads.
func (f *publicServer) installCertificate(names ...string) {
	f.t.Helper()
	pair := testcert.New(f.t, testcert.Options{Names: names, CA: f.ca})
	f.files.replace(f.t, pair.CertFile, pair.KeyFile)
	f.signal(syscall.SIGHUP)
}

// checkMode fetches the policy as a sender does.
func (f *publicServer) checkMode(want mtasts.Mode) {
	f.t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: f.roots},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, f.addr+":443")
		},
	}
	policy, err := mtasts.Fetch(f.t.Context(), &http.Client{Transport: transport}, "example.test")
	if err != nil {
		f.t.Fatal(err)
	}
	if policy.Mode != want || !policy.Matches("mx.example.test") {
		f.t.Errorf("the policy is %+v, want mode %s", policy, want)
	}
}

// A policy that would keep mail out is not enforced, whatever the file says.
func TestEnforceIsServedOnlyWhileVerifyingSendersCanDeliver(t *testing.T) {
	f := startPublicServer(t)
	f.await(0, "serving MTA-STS policy", "domain=example.test", "mode=enforce")
	f.checkMode(mtasts.Enforce)

	seen := f.log.length()
	f.installCertificate("mta-sts.example.test") // and not mx
	line := f.await(seen, "MTA-STS policy downgraded to testing", "host=mx.example.test")
	for _, want := range []string{
		"domain=example.test", "address=" + f.addr + ":25", "not mx.example.test", `remedy="install a certificate for mx.example.test"`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("the line %q lacks %q", line, want)
		}
	}
	f.await(seen, "serving MTA-STS policy", "mode=testing")
	f.checkMode(mtasts.Testing)

	seen = f.log.length()
	f.installCertificate("mx.example.test", "mta-sts.example.test")
	f.await(seen, "serving MTA-STS policy", "mode=enforce")
	f.checkMode(mtasts.Enforce)
}
