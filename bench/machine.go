package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// machine is what the figures were measured on and with.
type machine struct {
	load  string
	parts [][2]string
}

func (m machine) rows() [][]string {
	rows := make([][]string, len(m.parts))
	for i, part := range m.parts {
		rows[i] = part[:]
	}
	return rows
}

func examineMachine() machine {
	load, _ := os.ReadFile("/proc/loadavg")
	return machine{
		load: strings.Join(first(strings.Fields(string(load)), 3), " "),
		parts: [][2]string{
			{"processor", fmt.Sprintf("%d × %s", runtime.NumCPU(), field("/proc/cpuinfo", `(?m)^model name\s*: (.*)$`))},
			{"memory", field("/proc/meminfo", `(?m)^MemTotal:\s*(.*)$`)},
			{"kernel", field("/proc/sys/kernel/osrelease", `(\S+)`)},
			{"file system", says(`(\S+)\s*$`, "findmnt", "--noheadings", "--output=FSTYPE", "--target", os.TempDir())},
			{"Go", runtime.Version()},
			{"Postern", revision()},
			{"go-smtp", says(`go-smtp (\S+)`, "go", "list", "-m", "github.com/emersion/go-smtp")},
			{"Postfix", says(`(\S+)`, "postconf", "-d", "-h", "mail_version")},
			{"nginx", says(`nginx/(\S+)`, "nginx", "-v")},
			{"OpenSSL", says(`OpenSSL (\S+)`, "openssl", "version")},
		},
	}
}

// revision is the commit that Postern was built from, and whether files differ from it.
func revision() string {
	commit := says(`(\S+)`, "git", "rev-parse", "--short=12", "HEAD")
	if exec.Command("git", "diff", "--quiet", "HEAD", "--", "cmd", "internal", "sessionticket", "go.mod").Run() != nil {
		return commit + ", with changes"
	}
	return commit
}

func field(path, pattern string) string {
	text, _ := os.ReadFile(path)
	return match(pattern, text)
}

// says runs a program and finds in its output what it says of itself.
func says(pattern string, command ...string) string {
	cmd := exec.Command(command[0], command[1:]...)
	output, _ := cmd.CombinedOutput() // without output it is not known
	return match(pattern, output)
}

func match(pattern string, text []byte) string {
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	if found == nil {
		return "not known"
	}
	return string(found[1])
}

func first(words []string, n int) []string { return words[:min(n, len(words))] }
