package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// An operator has made a mistake in what lets a host in to NATS. The host goes on alone and logs one line that
// says what is wrong. Once the operator has corrected it, at the servers or in a file, the host shares without
// a restart.
func TestHostSharesOnceItMayUseNATS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(t *testing.T, file, content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority := testcert.NewCA(t)
	pair := testcert.New(t, testcert.Options{CA: authority})
	inTLS := fmt.Sprintf("tls: {cert_file: %s, key_file: %s}", pair.CertFile, pair.KeyFile)
	tenant := newTenant(t)
	for name, test := range map[string]struct {
		server      []string      // lines of its configuration
		credentials func() string // content of the host's file; empty: there is none; nil: it needs none
		ca          string        // the same
		want        string
	}{
		"another password": {
			server: []string{"authorization: {user: mx, password: another}"},
			want:   "Authorization Violation: the servers do not take the user and password in servers",
		},
		"no JetStream": {
			server: []string{"jetstream: false"},
			want:   "JetStream is not enabled at the servers, or not ready",
		},
		"an account without JetStream": {
			server: []string{"authorization: {}", "accounts: {mail: {users: [{user: mx, password: secret}]}}"},
			want:   "JetStream not enabled for account",
		},
		"a user that may not make buckets": {
			server: []string{`authorization: {users: [{user: mx, password: secret, permissions: {publish: {deny: ["$JS.API.STREAM.CREATE.>"]}}}]}`},
			want:   `permissions violation: Permissions Violation for Publish to \"$JS.API.STREAM.CREATE.`,
		},
		"no credentials": {
			server: tenant.server, credentials: func() string { return "" },
			want: "no such file",
		},
		"a file that has no credentials": {
			server: tenant.server, credentials: func() string { return "not one" },
			want: "no nkey seed found",
		},
		"credentials of another tenant": {
			server: tenant.server, credentials: func() string { return newTenant(t).credentials(t, time.Hour) },
			want: "Authorization Violation: the servers do not take the user in ",
		},
		"expired credentials": {
			server: tenant.server, credentials: func() string { return tenant.credentials(t, -time.Hour) },
			want: "has expired at 20",
		},
		"credentials that expire": {
			server: tenant.server, credentials: func() string { return tenant.credentials(t, 3*time.Second) },
			want: "expired", // and not just that the servers closed the connection
		},
		"another authority": {
			server: []string{inTLS}, ca: read(t, testcert.NewCA(t).File),
			want: "certificate signed by unknown authority",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			server := testpeer.StartNATS(t, 1)[0]
			server.Stop()
			server.StartWith(test.server...)
			correct := func() { server.Stop(); server.Start() }
			m := &testHost{t: t, name: "mx1", book: newBook()}
			m.change = func(s *Settings) {
				switch {
				case test.credentials != nil:
					s.Credentials, s.Servers = file, []string{strings.Replace(server.URL, "mx:secret@", "", 1)}
					if content := test.credentials(); content != "" {
						write(t, file, content)
					}
					correct = func() { write(t, file, tenant.credentials(t, time.Hour)) }
				case test.ca != "":
					s.CA = file
					write(t, file, test.ca)
					correct = func() { write(t, file, read(t, authority.File)) }
				}
			}
			m.start([]*testpeer.NATS{server})
			await(t, func() error {
				if m.log.Count("fleet unreachable") == 0 {
					return errors.New("nothing is logged")
				}
				return nil
			})
			if line := m.log.Take(); !strings.Contains(line, test.want) {
				t.Errorf("no %q in the log:\n%s", test.want, line)
			}
			correct()
			await(t, func() error {
				if problem := m.fleet.Status().Problem; problem != "" {
					return errors.New(problem)
				}
				return nil
			})
			if n := m.log.Count("fleet unreachable"); n != 1 {
				t.Errorf("%d lines, want one:\n%s", n, m.log.String())
			}
		})
	}
}

// The log says which server it was that a host no longer reaches, and no password.
func TestLogNamesLostServer(t *testing.T) {
	t.Parallel()
	server := testpeer.StartNATS(t, 1)[0]
	m := &testHost{t: t, name: "mx1", book: newBook()}
	m.start([]*testpeer.NATS{server})
	logged := func(what string) func() error {
		return func() error {
			if m.log.Count(what) == 0 {
				return errors.New("not in the log: " + what)
			}
			return nil
		}
	}
	await(t, logged("fleet connected"))
	server.Kill()
	await(t, logged("fleet unreachable"))
	_, address, _ := strings.Cut(server.URL, "@")
	if line := m.log.Take(); !strings.Contains(line, "lost the connection to "+address+": ") {
		t.Errorf("no %s in the log:\n%s", address, line)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// A tenant is an account of NATS whose users have credentials.
type tenant struct {
	account nkeys.KeyPair
	server  []string // lines of the configuration of servers that know it
}

func newTenant(t *testing.T) tenant {
	t.Helper()
	operator, operatorName := newIdentity(t, nkeys.CreateOperator)
	account, name := newIdentity(t, nkeys.CreateAccount)
	_, systemName := newIdentity(t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(name)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	return tenant{account, []string{
		"authorization: {}",
		"operator: " + encode(t, jwt.NewOperatorClaims(operatorName), operator),
		"resolver: MEMORY",
		"system_account: " + systemName,
		fmt.Sprintf("resolver_preload: {%s: %s, %s: %s}", name, encode(t, claims, operator), systemName, encode(t, jwt.NewAccountClaims(systemName), operator)),
	}}
}

// credentials returns those of a new user, as nsc writes them to a file.
func (n tenant) credentials(t *testing.T, valid time.Duration) string {
	t.Helper()
	user, name := newIdentity(t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(name)
	claims.Expires = time.Now().Add(valid).Unix()
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	content, err := jwt.FormatUserConfig(encode(t, claims, n.account), seed)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func newIdentity(t *testing.T, create func() (nkeys.KeyPair, error)) (key nkeys.KeyPair, name string) {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	if name, err = key.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return key, name
}

func encode(t *testing.T, claims jwt.Claims, by nkeys.KeyPair) string {
	t.Helper()
	token, err := claims.Encode(by)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
