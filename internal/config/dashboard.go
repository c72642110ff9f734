package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"postern/internal/password"
)

// Dashboard configures the dashboard.
type Dashboard struct {
	Listen  string         // address for HTTP, or Off
	Host    string         // that the web listener serves it at, over HTTPS; empty: none
	URL     string         // that browsers use, through a reverse proxy; empty: none
	Proxies []netip.Prefix // reverse proxies, which name the client that they forward
	Users   []User         // that may log in by password
}

// A User is a person who may log in to the dashboard by password.
type User struct {
	Name     string
	Operator bool // may change things, not only see them
	Password password.Hash
}

// The roles of users, as in the configuration.
const (
	viewerRole   = "viewer"
	operatorRole = "operator"
)

// String is the user as in the configuration.
func (u User) String() string {
	role := viewerRole
	if u.Operator {
		role = operatorRole
	}
	return u.Name + ":" + role + ":" + u.Password.String()
}

// LoginFile is the file of the dashboard's login links in a data folder.
func LoginFile(data string) string { return filepath.Join(data, "dashboard.login") }

// HTTPS is the URL of the dashboard on the web listener, empty if it is not served there.
func (c *Config) HTTPS() string {
	if c.Dashboard.Host == "" || len(c.Web.Listen) == 0 {
		return ""
	}
	at := url.URL{Scheme: "https", Host: c.Dashboard.Host, Path: "/"}
	if _, port, err := net.SplitHostPort(c.Web.Listen[0]); err == nil && port != "443" && port != "0" {
		at.Host = net.JoinHostPort(at.Host, port)
	}
	return at.String()
}

// userRemedy is how to make a user.
const userRemedy = "run postern dashboard --user NAME, which prints one, and its password"

// setUsers reads users such as "anna:operator:$argon2id$...". Errors do not show the hash.
func (d *Dashboard) setUsers(s setting) *Problem {
	var all []string
	if problem := texts(&all)(s); problem != nil {
		return problem
	}
	d.Users = nil
	for i, text := range all {
		user, err := parseUser(text)
		if err == nil && d.has(user.Name) {
			err = fmt.Errorf("the name %q is there twice", user.Name)
		}
		if err != nil {
			return &Problem{What: fmt.Sprintf("user %d: %v", i+1, err), Remedy: userRemedy}
		}
		d.Users = append(d.Users, user)
	}
	return nil
}

func (d *Dashboard) has(name string) bool {
	for _, user := range d.Users {
		if user.Name == name {
			return true
		}
	}
	return false
}

func parseUser(text string) (User, error) {
	name, rest, _ := strings.Cut(text, ":")
	role, hash, _ := strings.Cut(rest, ":")
	if !IsUserName(name) {
		return User{}, fmt.Errorf("not a name")
	}
	if role != viewerRole && role != operatorRole {
		return User{}, fmt.Errorf("the role of %s is not viewer or operator", name)
	}
	parsed, err := password.Parse(hash)
	if err != nil {
		return User{}, fmt.Errorf("the password of %s is %w", name, err)
	}
	return User{name, role == operatorRole, parsed}, nil
}

// IsUserName reports whether a user may have the name: up to 64 letters, digits and ._@-.
func IsUserName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._@-", r)
	})
}

// checkDashboard checks that passwords and cookies cannot pass a network in plaintext.
func (l *loading) checkDashboard() {
	d := &l.config.Dashboard
	if d.Host != "" {
		name, err := domainName(d.Host)
		switch {
		case err != nil:
			l.add("dashboard.host", fmt.Sprintf("%q is not a host name", d.Host), "write the name that browsers use, such as mx.example.org")
		case len(l.config.Web.Listen) == 0:
			l.add("dashboard.host", "needs HTTPS, and web.listen is empty", `list an address such as "0.0.0.0:443" in listen below [web]`)
		}
		d.Host = name
	}
	if u, err := url.Parse(d.URL); d.URL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "") {
		l.add("dashboard.url", fmt.Sprintf("%q is not an https URL of a host", d.URL), "write the URL that browsers use, such as https://postern.example.org/")
	}
	if len(d.Proxies) > 0 && d.URL == "" {
		l.add("dashboard.proxies", "needs url", "write the URL that browsers use to reach the proxy in url")
	}
	host, _, err := net.SplitHostPort(d.Listen)
	address, _ := netip.ParseAddr(host)
	if err == nil && host != "localhost" && !address.IsLoopback() && len(d.Proxies) == 0 {
		l.add("dashboard.listen", fmt.Sprintf("%q can be reached from elsewhere, where passwords would pass in plaintext", d.Listen),
			"listen on 127.0.0.1; or set host, to use the web listener's HTTPS; or set url and proxies, if a reverse proxy is the only one that connects")
	}
}
