// Package config reads the configuration: a TOML file, overridden by flags.
//
//	c, err := config.Load("/etc/postern/postern.toml", flags, files)
//
// deploy/postern.toml is the reference of all keys. Every key has a default, so
// neither a file nor a flag is needed.
//
// Load reports all problems at once, each with its file and line or its flag, and
// a remedy; see [Problem].
package config

import (
	"cmp"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/certs"
	"postern/internal/fleet"
	"postern/internal/nexthop/relay"
	"postern/internal/smtp"
	"postern/internal/smtpd"
	"postern/mtasts"
	"postern/sessionticket"
)

// A Config is a valid configuration.
type Config struct {
	Hostname      string   // in ASCII
	Domains       []string // at least one
	Recipients    []string // nil: any address of the domains
	Listen        []string // addresses for SMTP with STARTTLS
	ListenTLS     []string // addresses for SMTP in TLS
	ProxyProtocol ProxyProtocol
	XClient       XClient
	Data          string // the data folder
	NextHop       *relay.Config
	Mode          sessionticket.Mode
	Certificates  []certs.Pair // nil: self-signed
	Log           Log
	Web           Web
	Dashboard     Dashboard
	Metrics       Metrics
	SelfCheck     SelfCheck
	MTASTS        MTASTS
	ACME          ACME
	Ledger        Ledger
	Reports       Reports
	Alerts        Alerts
	Fleet         Fleet
	Limits        smtpd.Limits // zero fields mean smtpd.DefaultLimits

	Files *certs.Files // that Certificates were checked with

	nextHop string // as it was given
	file    string // that it was read from, if any
	places  places
}

// Log configures the log.
type Log struct {
	Format    string // "text" or "json"
	Level     slog.Level
	Addresses smtp.AddressDetail
}

// Web configures the web server. Where a list is empty, that listener is off.
type Web struct {
	Listen      []string // addresses for HTTPS
	ListenPlain []string // addresses for HTTP in the clear
}

// Metrics configures the listener for Prometheus.
type Metrics struct {
	Listen    string // address for HTTP, or Off
	TokenFile string // file of the bearer token; empty: none
	Token     string // in that file
}

// addressOrNone is a list of the address, or of none if it is Off.
func addressOrNone(listen string) []string {
	if listen == Off {
		return nil
	}
	return []string{listen}
}

// Off is the value of settings that can be turned off.
const Off = "off"

// Ledger limits what the ledger keeps. Zero limits mean the defaults of package
// ledger.
type Ledger struct {
	MaxAge    time.Duration
	MaxSize   int64 // bytes
	Addresses smtp.AddressDetail
}

// LedgerFile is the ledger's file in a data folder.
func LedgerFile(data string) string { return filepath.Join(data, "ledger.db") }

// ProbeKeyFile is the file of the probes' key in a data folder.
func ProbeKeyFile(data string) string { return filepath.Join(data, "probe.key") }

// DefaultData is the data folder if none is set.
const DefaultData = "postern-data"

// ACMEFolder is the folder of certificates obtained by ACME, with their keys.
func (c *Config) ACMEFolder() string { return filepath.Join(c.Data, "acme") }

// NextKeyFile is the file of the key for the hostname's next certificate.
func (c *Config) NextKeyFile() string { return filepath.Join(c.Data, "next-key.pem") }

// MaildirFolder is the Maildir that stores messages if there is no NextHop.
func (c *Config) MaildirFolder() string { return filepath.Join(c.Data, "maildir") }

// NextHopURL is the URL of NextHop with its options, as it was given.
func (c *Config) NextHopURL() string { return c.nextHop }

// TLSFolder is the folder of the self-signed certificates.
func (c *Config) TLSFolder() string { return filepath.Join(c.Data, "tls") }

// toMaildir is the next hop that means MaildirFolder.
const toMaildir = "maildir"

func defaults() *Config {
	return &Config{
		Hostname:  machineName(),
		Listen:    []string{"127.0.0.1:2525"},
		Data:      DefaultData,
		Log:       Log{Format: "text", Addresses: smtp.FullAddress},
		ACME:      ACME{Directory: letsEncrypt, NewKey: true},
		Ledger:    Ledger{Addresses: smtp.DomainOnly},
		MTASTS:    MTASTS{Mode: mtasts.Testing, MaxAge: 14 * 24 * time.Hour},
		Reports:   Reports{Delivery: Copy},
		Alerts:    Alerts{MaxPerDay: 10},
		Fleet:     Fleet{Access: fleet.Access{Prefix: "postern"}},
		Dashboard: Dashboard{Listen: "127.0.0.1:8025"},
		Metrics:   Metrics{Listen: "127.0.0.1:9925"},
		nextHop:   toMaildir,
	}
}

// machineName is the system's host name if mail servers can use it.
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

// Load reads file, unless that is empty, overrides it with flags and checks the
// result. The error is [Problems]. Certificates are loaded with files, which may be nil:
// those of the configuration before make the load of the next one fast.
//
// Relative paths in the file are relative to its folder, those in flags to the
// working directory.
func Load(file string, flags Flags, files *certs.Files) (*Config, error) {
	l := newLoading(files)
	settings := l.read(file)
	for i, s := range flags.over(settings) {
		l.apply(s, i)
	}
	l.config.file, l.config.places = file, l.places
	l.check()
	if len(l.problems) > 0 {
		return nil, l.problems.inOrder()
	}
	return l.config, nil
}

// loading is the state of a Load.
type loading struct {
	config   *Config
	places   places
	setters  map[string]setter // of all keys except those of certificates
	tables   map[string]bool   // of those keys
	unknown  map[string]bool   // tables that do not exist
	problems Problems
}

func newLoading(files *certs.Files) *loading {
	l := &loading{
		config:  defaults(),
		places:  make(places),
		setters: make(map[string]setter),
		tables:  make(map[string]bool),
		unknown: make(map[string]bool),
	}
	l.config.Files = files
	for _, f := range l.config.fields() {
		l.setters[f.key] = f.set
		for table := range tablesOf(f.key) {
			l.tables[table] = true
		}
	}
	return l
}

// tablesOf yields the tables that a key is in, the outermost first.
func tablesOf(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(key) {
			if key[i] == '.' && !yield(key[:i]) {
				return
			}
		}
	}
}

// A setting is a key with its value and place.
type setting struct {
	key   string
	value value
	at    place
	base  string // the folder of relative paths
}

// apply sets the i-th setting in the configuration.
func (l *loading) apply(s setting, i int) {
	at := s.at
	at.order, at.elements = i, s.value.lines
	l.places[s.key] = at
	if l.inUnknownTable(s.key) || s.value.table && l.hasTable(s.key) {
		return
	}
	set, problem := l.setter(s.key)
	if problem == nil {
		problem = set(s)
	}
	if problem == nil {
		return
	}
	l.add(s.key, problem.What, problem.Remedy)
	if s.value.table {
		l.unknown[s.key] = true
	}
}

// inUnknownTable reports whether the table of key has been reported already.
func (l *loading) inUnknownTable(key string) bool {
	for table := range tablesOf(key) {
		if l.unknown[table] {
			return true
		}
	}
	return false
}

// A Problem is one mistake in the configuration.
type Problem struct {
	Where  string // "postern.toml:7: listen" or "--listen"
	What   string
	Remedy string

	order int // of its place
}

func (p Problem) Error() string { return p.Where + ": " + p.What }

// Problems are all mistakes, in the order of the file, then of the flags.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error() + " (" + problem.Remedy + ")"
	}
	return "config: " + strings.Join(lines, "; ")
}

// A place is where a setting was made.
type place struct {
	source   string // "postern.toml" or "--listen"
	line     int    // 0: a flag
	elements []int  // the lines of a list's elements; 0: that of the list
	order    int
}

// places has the place of each setting by key.
type places map[string]place

// of returns the place of a key or of an element of a list: "listen" or "listen[1]".
func (p places) of(key string) (at place, ok bool) {
	if at, ok = p[key]; ok {
		return at, true
	}
	list, element, _ := strings.Cut(strings.TrimSuffix(key, "]"), "[")
	at, ok = p[list]
	if i, err := strconv.Atoi(element); err == nil && i < len(at.elements) && at.elements[i] > 0 {
		at.line = at.elements[i]
	}
	return at, ok
}

// given reports whether a key is set: that of a value, or of a table or one of its keys.
func (p places) given(name string) bool {
	for key := range p {
		if key == name || strings.HasPrefix(key, name+".") {
			return true
		}
	}
	return false
}

// problem returns a problem with the value of key, "listen" or "listen[1]".
func (p places) problem(key, what, remedy string) Problem {
	name, _, _ := strings.Cut(key, "[")
	if strings.Contains(key, "].") { // certificate[0].cert
		name = key
	}
	at, ok := p.of(key)
	where := fmt.Sprintf("%s:%d: %s", at.source, at.line, name)
	switch {
	case !ok:
		where, at.order = name+" (by default)", math.MaxInt
	case at.line == 0:
		where = at.source
	}
	return Problem{where, what, remedy, at.order}
}

func (l *loading) add(key, what, remedy string) {
	l.problems = append(l.problems, l.places.problem(key, what, remedy))
}

func (p Problems) inOrder() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Compare(a.order, b.order) })
	return p
}
