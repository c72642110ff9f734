package main

import (
	"errors"
	"io/fs"
	"os"
)

// serviceConfig is the configuration file of the service.
const serviceConfig = "/etc/postern/postern.toml"

// defaultConfig is the configuration file that is read if none is named, where there is
// one. Tests have another, since the machine may be a server.
var defaultConfig = serviceConfig

// configFile returns the configuration file to read, "" for none. One that cannot be read
// is an error later, since a command would work on the wrong data folder without it.
func configFile(named string) string {
	if named != "" {
		return named
	}
	if _, err := os.Stat(defaultConfig); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return defaultConfig
}
