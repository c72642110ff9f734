package test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The README's first command, in an empty folder, says where it listens, where
// mail goes and what to try, and what it says to try works: the first time and
// after a second start, which finds all that the first has made.
func TestFirstStartWorksAsItSays(t *testing.T) {
	if _, err := exec.LookPath("swaks"); err != nil {
		unavailable(t, "swaks is not installed: run scripts/install-peers")
	}
	dir := t.TempDir()
	tryItsWords(t, dir, 1)
	made := certificates(t, dir)
	tryItsWords(t, dir, 2)
	if again := certificates(t, dir); again != made || made == "" {
		t.Error("the second start has other certificates than the first")
	}
}

// tryItsWords starts postern in dir and does what it says.
func tryItsWords(t *testing.T, dir string, messages int) {
	t.Helper()
	needPort(t, "127.0.0.1:2525")
	p := launch(t, dir, "serve")
	if line := p.await(0, "  listens on "); !strings.Contains(line, " 127.0.0.1:2525 ") {
		t.Errorf("it listens elsewhere: %s", line)
	}
	p.await(0, "  goes to ", "postern-data")
	send, list := p.await(0, "  swaks "), p.await(0, "  ls ")
	if output, err := shell(dir, send); err != nil {
		t.Fatalf("%s: %v\n%s", send, err, output)
	}
	if output, err := shell(dir, list); err != nil || strings.Count(output, ",S=") != messages {
		t.Errorf("%s: %v, want a list of %d messages:\n%s", list, err, messages, output)
	}
	p.terminate()
}

// needPort checks that the port of the story is free.
func needPort(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("this story needs the port that postern takes when nobody says another: %v", err)
	}
	listener.Close()
}

// shell runs a line as a person would paste it.
func shell(dir, line string) (string, error) {
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// certificates returns the text of all certificates in the data folder.
func certificates(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "postern-data/tls/*-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}
