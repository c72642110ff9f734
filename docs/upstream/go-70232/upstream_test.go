// Package upstream tests what README.md in this folder says of the change to crypto/tls.
package upstream

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What fails with the installed Go passes with the change, and nothing else fails.
func TestTheChangeDelaysTheTicket(t *testing.T) {
	overlay := apply(t)
	for _, test := range []struct {
		name  string
		flags []string
		fails []string
	}{
		{"installed", nil, []string{
			"TestClientsHandshakeReturnsOverAPipe/NoClientCert",
			"TestNoTicketBeforeTheClientsFinished/full",
		}},
		{"changed", []string{overlay}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := slices.Concat([]string{"test", "-count=1"}, test.flags, []string{"testdata/ticket_test.go", "testdata/pipe_test.go"})
			out, err := exec.Command("go", args...).CombinedOutput()
			if (err != nil) != (test.fails != nil) {
				t.Errorf("go test gave %v", err)
			}
			var failed []string
			for _, match := range regexp.MustCompile(`--- FAIL: (\w+/\w+)`).FindAllStringSubmatch(string(out), -1) {
				failed = append(failed, match[1])
			}
			slices.Sort(failed)
			if !slices.Equal(failed, test.fails) {
				t.Errorf("these failed: %q, want %q\n%s", failed, test.fails, out)
			}
		})
	}
}

// apply returns the flag by which the go command applies the change.
func apply(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("patch"); err != nil {
		unavailable(t, err.Error())
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	folders := strings.Fields(string(cache))
	if strings.HasPrefix(folders[1], folders[0]+string(filepath.Separator)) {
		unavailable(t, "the go command replaces no file of a Go that it has downloaded as a module")
	}
	flag, err := exec.Command("./overlay", t.TempDir()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, flag)
	}
	return strings.TrimSpace(string(flag))
}

// unavailable ends a test that cannot run here: it fails under CI=true, and skips elsewhere.
func unavailable(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
