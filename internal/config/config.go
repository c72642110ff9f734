// Package config reads what an operator has set: a TOML file and, over it,
// flags.
//
//	c, err := config.Load("/etc/postern/postern.toml", flags)
//
// deploy/postern.toml is the reference of all keys. Every key has a default, so
// neither a file nor a flag is needed.
//
// Load finds all that is wrong at once and says for each the file and line or
// the flag, what is wrong, and the remedy: see [Problem].
package config

import (
	"cmp"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/internal/certs"
	"postern/internal/nexthop/relay"
	"postern/internal/smtpd"
	"postern/mtasts"
	"postern/sessionticket"
)

// Config is a configuration that has been checked.
type Config struct {
	Hostname     string   // in ASCII
	Domains      []string // at least one
	Recipients   []string // nil: any address of the domains
	Listen       []string // addresses for SMTP with STARTTLS
	ListenTLS    []string // addresses for SMTP in TLS
	Data         string   // the folder of all that is kept
	NextHop      *relay.Config
	Mode         sessionticket.Mode
	Certificates []certs.Pair // nil: self-signed
	Log          Log
	Web          Web
	MTASTS       MTASTS
	ACME         ACME
	Ledger       Ledger
	Reports      Reports
	Limits       smtpd.Limits // zero fields mean smtpd.DefaultLimits

	nextHop string // as it was given
}

// Log says how events are written.
type Log struct {
	Format string // "text" or "json"
	Level  slog.Level
}

// Web says where strangers are answered over HTTP. Where a list is empty, that
// listener is off.
type Web struct {
	Listen      []string // addresses for HTTPS
	ListenPlain []string // addresses for HTTP in the clear
}

// Ledger says how much is remembered of senders and their handshakes. Zero fields
// mean the defaults of package ledger.
type Ledger struct {
	MaxAge  time.Duration
	MaxSize int64 // bytes
}

// LedgerFile is where that is, below a data folder.
func LedgerFile(data string) string { return filepath.Join(data, "ledger.db") }

// DefaultData is the data folder where none is given.
const DefaultData = "postern-data"

// ACMEFolder is where certificates of an authority are, with their keys.
func (c *Config) ACMEFolder() string { return filepath.Join(c.Data, "acme") }

// NextKeyFile is the key that comes after that of the hostname's certificate.
func (c *Config) NextKeyFile() string { return filepath.Join(c.Data, "next-key.pem") }

// MaildirFolder is where messages go if there is no NextHop.
func (c *Config) MaildirFolder() string { return filepath.Join(c.Data, "maildir") }

// TLSFolder is where the self-signed certificates are.
func (c *Config) TLSFolder() string { return filepath.Join(c.Data, "tls") }

// toMaildir as next hop stands for MaildirFolder.
const toMaildir = "maildir"

func defaults() *Config {
	return &Config{
		Hostname: machineName(),
		Listen:   []string{"127.0.0.1:2525"},
		Data:     DefaultData,
		Log:      Log{Format: "text"},
		ACME:     ACME{Directory: letsEncrypt, NewKey: true},
		MTASTS:   MTASTS{Mode: mtasts.Testing, MaxAge: 14 * 24 * time.Hour},
		Reports:  Reports{Delivery: Copy},
		nextHop:  toMaildir,
	}
}

// machineName is the system's name for itself if mail servers can use it.
func machineName() string {
	name, err := os.Hostname()
	if err == nil {
		name, err = domainName(name)
	}
	if err != nil {
		return "localhost"
	}
	return name
}

// Load reads file, none if it is empty, puts flags over it and checks the
// whole. The error is [Problems].
//
// Relative paths in the file begin at its folder, those in flags at the
// working folder.
func Load(file string, flags Flags) (*Config, error) {
	l := &loading{config: defaults(), places: make(map[string]place)}
	settings := l.read(file)
	for i, s := range flags.over(settings) {
		l.apply(s, i)
	}
	l.check()
	if len(l.problems) > 0 {
		return nil, l.inOrder()
	}
	return l.config, nil
}

// loading is a Load under way.
type loading struct {
	config   *Config
	places   map[string]place // by key, of lists by element too: "listen[1]"
	strange  []string         // tables that there are not, with a final dot
	problems []found
}

// A setting is a key with its value, and where it was set.
type setting struct {
	key   string
	value value
	place string // "postern.toml:7" or "--listen"
	base  string // where relative paths begin
}

// apply puts the i-th setting into the configuration.
func (l *loading) apply(s setting, i int) {
	l.places[s.key] = place{s.place, i}
	for element, text := range s.value.places {
		l.places[s.key+element] = place{text, i}
	}
	if l.inStrangeTable(s.key) || s.value.table && l.config.hasTable(s.key) {
		return
	}
	set, problem := l.config.setter(s.key)
	if problem == nil {
		problem = set(s)
	}
	if problem == nil {
		return
	}
	l.add(s.key, problem.What, problem.Remedy)
	if s.value.table {
		l.strange = append(l.strange, s.key+".")
	}
}

// inStrangeTable reports whether the table of key is a problem already.
func (l *loading) inStrangeTable(key string) bool {
	return slices.ContainsFunc(l.strange, func(table string) bool { return strings.HasPrefix(key, table) })
}

// Problem is one thing that is wrong.
type Problem struct {
	Where  string // "postern.toml:7: listen" or "--listen"
	What   string
	Remedy string
}

func (p Problem) Error() string { return p.Where + ": " + p.What }

// Problems is everything that is wrong, in the order of the file, then of the
// flags.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error() + " (" + problem.Remedy + ")"
	}
	return "config: " + strings.Join(lines, "; ")
}

// A place is where a setting stands.
type place struct {
	text  string // "postern.toml:7" or "--listen"
	order int
}

// A found problem, with the order of its place.
type found struct {
	Problem
	order int
}

// add notes a problem of the value at key, "listen" or "listen[1]".
func (l *loading) add(key, what, remedy string) {
	name, _, _ := strings.Cut(key, "[")
	if strings.Contains(key, "].") { // certificate[0].cert
		name = key
	}
	at, ok := l.places[key]
	if !ok {
		at, ok = l.places[name]
	}
	where := at.text + ": " + name
	switch {
	case !ok:
		where, at.order = name+" (by default)", math.MaxInt
	case strings.HasPrefix(at.text, "--"):
		where = at.text
	}
	l.problems = append(l.problems, found{Problem{where, what, remedy}, at.order})
}

func (l *loading) inOrder() Problems {
	slices.SortStableFunc(l.problems, func(a, b found) int { return cmp.Compare(a.order, b.order) })
	problems := make(Problems, len(l.problems))
	for i, p := range l.problems {
		problems[i] = p.Problem
	}
	return problems
}
