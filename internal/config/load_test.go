package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"postern/internal/testcert"
)

var update = flag.Bool("update", false, "rewrite the errors of testdata/bad")

func TestLoadNeedsNeitherFileNorFlag(t *testing.T) {
	t.Chdir(t.TempDir())
	c := mustLoad(t, "", Flags{Hostname: "mx.example.org"})
	if got, want := c.Domains, []string{"localhost", "mx.example.org"}; !reflect.DeepEqual(got, want) {
		t.Errorf("accepts mail for %v, want %v", got, want)
	}
	if got, want := c.Listen, []string{"127.0.0.1:2525"}; !reflect.DeepEqual(got, want) {
		t.Errorf("listens on %v, want %v", got, want)
	}
	if got, want := c.MaildirFolder(), filepath.Join("postern-data", "maildir"); got != want || c.NextHop != nil {
		t.Errorf("stores to %s, want %s", got, want)
	}
	if entries, _ := os.ReadDir("."); len(entries) > 0 {
		t.Errorf("left %v behind", entries)
	}
}

// write makes a configuration file.
func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// The empty device is no file that is waited for, but the usual way to say that there is none.
func TestLoadTakesTheEmptyDeviceForNoFile(t *testing.T) {
	if c, err := Load(os.DevNull, Flags{Data: t.TempDir()}, nil); err != nil || len(c.Listen) == 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A certificate has less than a megabyte; the domains of a provider have more.
func TestLoadTakesAllDomainsOfAProvider(t *testing.T) {
	var domains strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&domains, "\"d%d.example.org\",\n", i)
	}
	c := mustLoad(t, write(t, "domains = [\n"+domains.String()+"]\n"), Flags{Data: t.TempDir()})
	if len(c.Domains) != 100_000 || c.Domains[99_999] != "d99999.example.org" {
		t.Errorf("accepts mail for %d domains", len(c.Domains))
	}
}

func TestFlagsOverrideFile(t *testing.T) {
	pair, other := testcert.New(t, testcert.Options{}), testcert.New(t, testcert.Options{RSA: true})
	file := write(t, `
hostname = "file.example.org"
domains = ["file.example.org"]
listen = ["127.0.0.1:1"]
[[certificate]]
cert = "missing"
key = "missing"
[log]
level = "warn"
`)
	c := mustLoad(t, file, Flags{
		Hostname: "flag.example.org", Domain: []string{"flag.example.org"}, Listen: []string{":2", ":3"},
		Cert: []string{pair.CertFile, other.CertFile}, Key: []string{pair.KeyFile, other.KeyFile},
	})
	if c.Hostname != "flag.example.org" || c.Domains[0] != "flag.example.org" || len(c.Listen) != 2 {
		t.Errorf("got %+v", c)
	}
	if len(c.Certificates) != 2 || c.Certificates[1].KeyFile != other.KeyFile {
		t.Errorf("got the certificates %v", c.Certificates)
	}
	if c.Log.Level.String() != "WARN" {
		t.Errorf("got the level %v, want that of the file", c.Log.Level)
	}
}

func TestPathsAreRelativeToFile(t *testing.T) {
	c := mustLoad(t, write(t, `data = "kept"`), Flags{})
	if !filepath.IsAbs(c.Data) || filepath.Base(c.Data) != "kept" {
		t.Errorf("data is %s", c.Data)
	}
	t.Chdir(t.TempDir())
	if c := mustLoad(t, write(t, `data = "kept"`), Flags{Data: "flag"}); c.Data != "flag" {
		t.Errorf("data is %s", c.Data)
	}
}

func TestTablesInAllFormsOfTOML(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	certificate := `cert = '` + pair.CertFile + `'` + ", " + `key = '` + pair.KeyFile + `'`
	for name, content := range map[string]string{
		"header": "[limits]\nerrors = 3\n[limits.total]\nbytes = '1KiB/s'\n[[certificate]]\n" + strings.Replace(certificate, ", ", "\n", 1),
		"dotted": "limits.errors = 3\nlimits.total.bytes = '1 KiB/s'\ncertificate = [{" + certificate + "}]",
		"inline": "limits = { errors = 0x3, total = { bytes = '1024B/s' } }\ncertificate = [\n{" + certificate + "},\n]",
	} {
		t.Run(name, func(t *testing.T) {
			c := mustLoad(t, write(t, content), Flags{})
			if c.Limits.Errors != 3 || c.Limits.Total.Bytes != 1024 || len(c.Certificates) != 1 || c.Certificates[0].KeyFile != pair.KeyFile {
				t.Errorf("got %+v", c)
			}
		})
	}
}

// A reverse proxy is compared with the addresses of clients, which are IPv4 where they can be.
func TestProxiesAreNetworks(t *testing.T) {
	c := mustLoad(t, write(t, `[dashboard]
url = "https://postern.example.org/"
proxies = ["192.0.2.10", "::ffff:192.0.2.11", "::ffff:198.51.100.7/120", "203.0.113.7/24", "2001:db8::1"]`), Flags{})
	want := "[192.0.2.10/32 192.0.2.11/32 198.51.100.0/24 203.0.113.0/24 2001:db8::1/128]"
	if got := fmt.Sprint(c.Dashboard.Proxies); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHostnameBecomesASCII(t *testing.T) {
	c := mustLoad(t, write(t, `hostname = "MX.Bücher.example."`), Flags{})
	if want := "mx.xn--bcher-kva.example"; c.Hostname != want {
		t.Errorf("got %s, want %s", c.Hostname, want)
	}
}

func TestProblemNamesTheLineOfAnElement(t *testing.T) {
	const head = "hostname = 'mx.example.org' # first\r\n\n"
	for text, want := range map[string]string{
		head + "domains = [\n'a.example',\n# 'b.example'\n\n'c d',]\n":       "postern.toml:7: domains",
		head + "domains = ['a.example', 'c d']\n":                            "postern.toml:3: domains",
		head + "domains = ['a.example']\nrecipients = [\n'\\',\n\"a\"\n]":    "postern.toml:5: recipients",
		head + "[[certificate]]\n\n[[certificate]]\ncert = 'x'\nkey = 'y'\n": "postern.toml:3: certificate",
		head + "[limits]\n\n\nerrors = '3'\n":                                "postern.toml:6: limits.errors",
	} {
		_, err := Load(write(t, text), Flags{Data: t.TempDir()}, nil)
		problems, _ := err.(Problems)
		if len(problems) == 0 || !strings.Contains(problems[0].Where, want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// Each file in testdata/bad has a file with the problems to report.
func TestProblemsInFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	dir := certificateFolder(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".toml")
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			placed := filepath.Join(dir, "postern.toml")
			if err := os.WriteFile(placed, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = Load(placed, Flags{}, nil)
			compare(t, strings.TrimSuffix(file, ".toml")+".err", strings.ReplaceAll(printed(err), dir+"/", ""))
		})
	}
}

// certificateFolder has the files that testdata/bad mentions.
func certificateFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, from string) {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, other := testcert.New(t, testcert.Options{}), testcert.New(t, testcert.Options{})
	put("cert.pem", good.CertFile)
	put("key.pem", good.KeyFile)
	put("other-key.pem", other.KeyFile)
	if err := os.WriteFile(filepath.Join(dir, "short-token"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// printed is the error as the command prints it.
func printed(err error) string {
	var b strings.Builder
	problems, _ := err.(Problems)
	for _, p := range problems {
		b.WriteString(p.Error() + "\n\t" + p.Remedy + "\n")
	}
	return b.String()
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update && os.Getenv("CI") == "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal([]byte(got), want) || got == "" {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestProblemNamesFlag(t *testing.T) {
	t.Chdir(t.TempDir())
	pair := testcert.New(t, testcert.Options{})
	for _, tt := range []struct {
		flags Flags
		want  string
	}{
		{Flags{Listen: []string{":25", "2525"}}, `--listen: "2525" is not an address`},
		{Flags{ListenTLS: []string{"127.0.0.1:2525"}}, `--listen-tls: "127.0.0.1:2525" is listed twice`},
		{Flags{Hostname: "my host"}, `--hostname: "my host" is not a host name`},
		{Flags{Domain: []string{"a.example,b.example"}}, `--domain: "a.example,b.example" is not a domain`},
		{Flags{NextHop: "ftp://x"}, `--next-hop: "ftp://x": unknown scheme "ftp"; use smtp, smtps, lmtp or lmtp+unix`},
		{Flags{Mode: "late"}, `--mode: expected a TLS mode, got "late"`},
		{Flags{LogLevel: "loud"}, `--log-level: expected a log level, got "loud"`},
		{Flags{LogFormat: "xml"}, `--log-format: expected a log format, got "xml"`},
		{Flags{Cert: []string{pair.CertFile}}, "--cert: " + pair.CertFile + " has no key"},
		{Flags{Key: []string{pair.KeyFile}}, "--key: " + pair.KeyFile + " has no certificate"},
		{Flags{Cert: []string{"nowhere"}, Key: []string{pair.KeyFile}}, "--cert: nowhere does not exist"},
		{Flags{Data: "/dev/null"}, "--data: /dev/null is not a folder"},
	} {
		_, err := Load("", tt.flags, nil)
		problems, _ := err.(Problems)
		if len(problems) != 1 || problems[0].Error() != tt.want || problems[0].Remedy == "" {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func TestUnreadableFile(t *testing.T) {
	for file, want := range map[string]string{
		"nowhere.toml": "--config: nowhere.toml does not exist",
		"testdata":     "--config: testdata is a folder, not a file",
	} {
		_, err := Load(file, Flags{Data: t.TempDir()}, nil)
		if problems, _ := err.(Problems); len(problems) != 1 || problems[0].Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSizesAndRates(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int64 // 0: not a size
	}{
		{"1B", 1}, {"64KiB", 64 << 10}, {"50 MiB", 50 << 20}, {"1GiB", 1 << 30}, {"8589934591GiB", 8589934591 << 30},
		{"", 0}, {"50", 0}, {"50MB", 0}, {"50M", 0}, {"0MiB", 0}, {"-1MiB", 0}, {"1.5MiB", 0}, {"8589934592GiB", 0}, {"MiB", 0}, {"1e3KiB", 0},
	} {
		if got, err := parseSize(tt.text); got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("%q: got %d, %v, want %d", tt.text, got, err, tt.want)
		}
	}
	for text, want := range map[string]float64{
		"100/s": 100, "0.5/s": 0.5, "100": 0, "100/m": 0, "0/s": 0, "-1/s": 0, "NaN/s": 0, "Inf/s": 0, "/s": 0,
	} {
		if got, err := parseRate(text); err == nil && got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
}

// FuzzLoad looks for files that make Load panic, or return an incomplete configuration
// without an error.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.toml")
	for _, file := range append(files, exampleFile) {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
		f.Add(commented.ReplaceAll(content, []byte("$1")))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		name := filepath.Join(t.TempDir(), "postern.toml")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(name, Flags{Data: t.TempDir()}, nil)
		if problems, ok := err.(Problems); err != nil && (!ok || len(problems) == 0) {
			t.Errorf("got %v", err)
		}
		if err == nil && (c.Hostname == "" || len(c.Domains) == 0 || len(c.mailAddresses()) == 0) {
			t.Errorf("got %+v", c)
		}
	})
}

func TestDataFolderNeedsNothingElse(t *testing.T) {
	file := write(t, "hostname = 3\ndata = 'kept'\n[[certificate]]\ncert = 'missing'\n")
	if got, err := DataFolder(file); err != nil || got != filepath.Join(filepath.Dir(file), "kept") {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := DataFolder(""); err != nil || got != DefaultData {
		t.Errorf("without a file: got %q, %v", got, err)
	}
	for _, text := range []string{"data = 3", "data = ", "data = 'a'\n["} {
		if got, err := DataFolder(write(t, text)); err == nil {
			t.Errorf("%s: got %q", text, got)
		}
	}
}

func TestWriteRemedyFitsTheError(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSPC: "free space",
		syscall.EDQUOT: "free space",
		syscall.EROFS:  "mount the disk",
		syscall.EIO:    "dmesg",
		syscall.EACCES: "let the user",
	} {
		if got := WriteRemedy(&os.PathError{Op: "open", Path: "/data/x", Err: err}, "/data"); !strings.Contains(got, want) {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}
