package interop_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// run runs a client to its end. Its status does not matter: what was recorded does.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	output, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s: %v\n%s", name, err, output)
	}
	t.Logf("%s: %v\n%s", name, err, output)
	return string(output)
}

// version makes the name of a peer from the first line of what a command prints.
func version(software string, command ...string) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		line, _, _ := strings.Cut(run(t, "", command[0], command[1:]...), "\n")
		line = strings.TrimSpace(line)
		if strings.Contains(strings.ToLower(line), strings.ToLower(software)) {
			return line
		}
		return software + " " + line
	}
}

var (
	openSSL = version("OpenSSL", "openssl", "version")
	gnuTLS  = version("GnuTLS", "gnutls-cli", "--version")
	postfix = version("Postfix", "/usr/sbin/postconf", "-dh", "mail_version")
)

var eximVersion = regexp.MustCompile(`Exim version \S+`)

// exim finds it where scripts/install-peers unpacks it, too.
func exim(t *testing.T) string {
	t.Helper()
	name := "exim4"
	if unpacked := "../.cache/exim4/usr/sbin/exim4"; exists(unpacked) {
		name = unpacked
	}
	return eximVersion.FindString(run(t, "", name, "-C", "/dev/null", "-bV"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
