package config

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"

	"postern/internal/fleet"
	"postern/internal/oserror"
)

// Fleet configures what this host shares with others.
type Fleet struct {
	Enabled    bool // there is a table fleet
	SecretFile string
	fleet.Access
}

// FleetKeysFile is where a host keeps the fleet's ticket keys, in a data folder.
func FleetKeysFile(data string) string { return filepath.Join(data, "fleet.keys") }

// minFleetSecret is the size of the keys that are derived from the secret, in bytes.
const minFleetSecret = 32

// checkFleet checks the table fleet, if there is one.
func (l *loading) checkFleet() {
	f := &l.config.Fleet
	if f.Enabled = l.places.given("fleet"); !f.Enabled {
		return
	}
	f.Name = cmp.Or(f.Name, l.config.Hostname)
	if len(f.Servers) == 0 {
		l.add("fleet.servers", "is missing or empty", `list the NATS servers, such as "tls://nats1.example.org:4222"`)
	}
	for i, server := range f.Servers {
		if u, err := url.Parse(server); err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Host == "" {
			l.add(element("fleet.servers", i), "is not a URL of a NATS server", `write one such as "tls://nats1.example.org:4222"`)
		}
	}
	if !fleet.ValidPrefix.MatchString(f.Prefix) {
		l.add("fleet.prefix", fmt.Sprintf("%q has characters other than letters, digits, - and _, or more than 64", f.Prefix), "write a name such as postern")
	}
	if f.Credentials != "" {
		if _, err := oserror.ReadFile(f.Credentials); err != nil {
			l.add("fleet.credentials", oserror.Text(err), "name a file that the user that postern runs as can read")
		}
	}
	l.readRoots("fleet.ca", f.CA) // it is read again at each attempt to connect
	l.readFleetSecret()
}

func (l *loading) readFleetSecret() {
	f := &l.config.Fleet
	if f.SecretFile == "" {
		l.add("fleet.secret-file", "is missing", "name a file with the output of openssl rand -hex 32, the same at each host")
		return
	}
	content, err := oserror.ReadFile(f.SecretFile)
	if err != nil {
		l.add("fleet.secret-file", oserror.Text(err), "name a file that the user that postern runs as can read")
		return
	}
	if f.Secret = bytes.TrimSpace(content); len(f.Secret) < minFleetSecret {
		l.add("fleet.secret-file", fmt.Sprintf("%s has less than %d bytes", f.SecretFile, minFleetSecret), "write a random one, as openssl rand -hex 32 prints, and the same at each host")
	}
}
