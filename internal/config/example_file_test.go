package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/internal/certs"
	"postern/internal/fleet"
	"postern/internal/ledger"
	"postern/internal/smtp"
	"postern/internal/smtpd"
	"postern/internal/testcert"
)

const exampleFile = "../../deploy/postern.toml"

// commented matches lines of the example that are keys without their #.
var commented = regexp.MustCompile(`(?m)^#([a-z\[])`)

// uncommented writes the example with all of its keys set, in a folder with the files
// that it mentions.
func uncommented(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := commented.ReplaceAllString(string(content), "$1")
	pair := testcert.New(t, testcert.Options{})
	for from, to := range map[string]string{
		"/etc/letsencrypt/live/mx.example.org/fullchain.pem": pair.CertFile,
		"/etc/letsencrypt/live/mx.example.org/privkey.pem":   pair.KeyFile,
		"/etc/postern/authority.pem":                         pair.CertFile,
		"/etc/postern/metrics-token":                         tokenFile(t),
		"/etc/postern/nats-ca.pem":                           pair.CertFile,
		"/etc/postern/nats.creds":                            pair.KeyFile,
		"/etc/postern/fleet.secret":                          pair.KeyFile,
		"/etc/postern/webhook.secret":                        pair.KeyFile,
		"/usr/local/bin/notify":                              os.Args[0],
		`"/var/lib/postern"`:                                 `"` + dir + `"`,
	} {
		if !strings.Contains(text, from) {
			t.Errorf("the example has no %s", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	name := filepath.Join(dir, "postern.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func tokenFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func mustLoad(t *testing.T, file string, flags Flags) *Config {
	t.Helper()
	c, err := Load(file, flags, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExampleHasOnlyDefaults(t *testing.T) {
	content, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("postern.toml", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), "\ndata = \"/var/lib/postern\"\n") {
		t.Error("data is not set")
	}
	data := Flags{Data: t.TempDir()} // the only key that is set
	got, want := mustLoad(t, "postern.toml", data), mustLoad(t, "", data)
	want.file, want.places = got.file, got.places
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Keys without a fixed default are set to an example.
func TestExampleShowsDefaults(t *testing.T) {
	got := mustLoad(t, uncommented(t), Flags{})
	want := defaults()
	want.file, want.places = got.file, got.places
	want.Hostname = "mx.example.org"
	want.Domains = []string{"example.org", "example.net"}
	want.Recipients = []string{"ann@example.org", "bob@example.org"}
	want.ListenTLS = []string{}
	want.ProxyProtocol = ProxyProtocol{
		Trust: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32"), netip.MustParsePrefix("2001:db8:1::/64")}, Listen: []string{"192.0.2.25:2525"}, ListenTLS: []string{"192.0.2.25:4650"},
	}
	want.XClient = XClient{Trust: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}, Listen: []string{"192.0.2.25:2526"}}
	want.Data = got.Data
	want.Metrics.TokenFile, want.Metrics.Token = got.Metrics.TokenFile, "0123456789abcdef"
	want.Web = Web{Listen: []string{":443"}, ListenPlain: []string{":80"}}
	user, err := parseUser("anna:operator:$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$XIrd4/OqVcqxVOQtKWm5DdYsDRkHeFzkkLFR4xtTvMw")
	if err != nil {
		t.Fatal(err)
	}
	want.Dashboard = Dashboard{
		Listen: "127.0.0.1:8025", Host: "mx.example.org", URL: "https://postern.example.org/",
		Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}, Users: []User{user},
	}
	want.SelfCheck = SelfCheck{At: defaultCheckTime, Resolver: "192.0.2.53"}
	want.MTASTS.Enabled, want.MTASTS.Domains = true, want.Domains
	want.MTASTS.MX, want.MTASTS.Resolver = []string{"mx.example.org"}, "127.0.0.1:53"
	want.ACME = ACME{
		Enabled: true, NewKey: true, Directory: letsEncrypt, Email: "postmaster@example.org",
		Hosts: []string{"mx.example.org", "mta-sts.example.org"}, CA: got.ACME.CA, Roots: got.ACME.Roots,
	}
	want.Certificates = []certs.Pair{got.Certificates[0]}
	want.Limits = smtpd.DefaultLimits
	want.Ledger = Ledger{MaxAge: ledger.DefaultMaxAge, MaxSize: ledger.DefaultMaxSize, Addresses: smtp.DomainOnly}
	want.Reports = Reports{Addresses: []string{"tls-reports@example.org"}, Delivery: Copy, Path: "/tls-reports", Resolver: "127.0.0.1:53"}
	want.Alerts = Alerts{
		Enabled: true, Mail: []string{"postmaster@example.org"}, Webhook: "https://example.org/hook", SecretFile: got.Alerts.SecretFile, Secret: got.Alerts.Secret,
		Command: []string{os.Args[0], "mail"}, MaxPerDay: 10, Weekly: true,
	}
	want.Fleet = Fleet{
		Enabled: true, SecretFile: got.Fleet.SecretFile,
		Access: fleet.Access{
			Servers:     []string{"tls://nats1.example.org:4222", "tls://nats2.example.org:4222", "tls://nats3.example.org:4222"},
			Credentials: got.Fleet.Credentials, CA: got.Fleet.CA, Name: "mx1.example.org", Prefix: "postern", Secret: got.Fleet.Secret,
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestExampleHasEachKeyOnce(t *testing.T) {
	l := &loading{}
	var got []string
	for _, s := range l.read(uncommented(t)) {
		if !s.value.table {
			got = append(got, s.key)
		}
	}
	want := []string{"certificate[0].cert", "certificate[0].key"}
	for _, f := range defaults().fields() {
		want = append(want, f.key)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the example has the keys\n%v, want\n%v", got, want)
	}
}

// Every field of Config can be set by a key.
func TestEachFieldHasKey(t *testing.T) {
	c := mustLoad(t, uncommented(t), Flags{
		Hostname: "other.example.org", Domain: []string{"example.org"}, Listen: []string{":1"}, ListenTLS: []string{":2"},
		NextHop: "smtp://127.0.0.1", Mode: "no-ticket", LogFormat: "json", LogLevel: "debug",
	})
	c.Files = new(certs.Files) // no setting
	var missing []string
	unset(reflect.ValueOf(*c), "Config", &missing)
	if len(missing) > 0 {
		t.Errorf("no key sets %v", missing)
	}
}

// unset collects the fields that are zero.
func unset(v reflect.Value, name string, missing *[]string) {
	if v.Kind() == reflect.Struct {
		for i := range v.NumField() {
			unset(v.Field(i), name+"."+v.Type().Field(i).Name, missing)
		}
		return
	}
	if v.IsZero() {
		*missing = append(*missing, name)
	}
}
