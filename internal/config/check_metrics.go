package config

import (
	"fmt"
	"strings"

	"postern/internal/oserror"
)

// Bounds of a token. Prometheus sends all of its credentials_file, without spaces around it.
const (
	minToken = 16
	maxToken = 1024
)

// checkMetrics reads the bearer token.
func (l *loading) checkMetrics() {
	m := &l.config.Metrics
	if m.TokenFile == "" || m.Listen == Off {
		return
	}
	content, err := oserror.ReadFile(m.TokenFile)
	if err != nil {
		l.add("metrics.token-file", oserror.Text(err), "set a file that the user that postern runs as can read")
		return
	}
	m.Token = strings.TrimSpace(string(content))
	visible := !strings.ContainsFunc(m.Token, func(r rune) bool { return r <= ' ' || r > '~' })
	if len(m.Token) < minToken || len(m.Token) > maxToken || !visible {
		l.add("metrics.token-file", fmt.Sprintf("%s has no token", m.TokenFile),
			fmt.Sprintf("write one line of %d to %d visible ASCII characters, such as the output of: openssl rand -hex 32", minToken, maxToken))
	}
}
