package manpage

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

var folder = flag.String("man", "", "write the manual pages to this folder, and keep them")

// Date is the date that pages show: that of SOURCE_DATE_EPOCH, so that a build can be repeated,
// else today.
func Date(t testing.TB) time.Time {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Now()
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("SOURCE_DATE_EPOCH: %v", err)
	}
	return time.Unix(seconds, 0)
}

// Check writes the pages of a program to the folder of the flag -man, or to a temporary one. It
// fails the test if mandoc has anything to say about one of them, or if they lack anything that
// --help prints. Without mandoc it skips the test, or fails it if CI is set.
func Check(t testing.TB, program *kong.Application, pages map[string]string) {
	t.Helper()
	r := reader{folder: *folder}
	if r.folder == "" {
		r.folder = t.TempDir()
	}
	if err := os.MkdirAll(r.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(r.folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.findMandoc(t)
	for name := range pages {
		r.lint(t, name)
	}
	r.has(t, program.Name+".1", program.Node)
	for _, command := range shown(program.Node) {
		r.has(t, pageName(command)+".1", command)
	}
}

// A reader reads the pages in a folder as people see them.
type reader struct{ mandoc, folder string }

func (r *reader) findMandoc(t testing.TB) {
	t.Helper()
	var err error
	r.mandoc, err = exec.LookPath("mandoc")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%v: run scripts/install-peers", err)
	default:
		t.Skipf("%v: run scripts/install-peers", err)
	}
}

func (r reader) lint(t testing.TB, name string) {
	t.Helper()
	out, _ := exec.Command(r.mandoc, "-Tlint", filepath.Join(r.folder, name)).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "referenced manual not found") { // it is not installed yet
			t.Errorf("mandoc -Tlint: %s", line)
		}
	}
}

var overstrike = regexp.MustCompile(".\b")

// text returns the words of a page with single spaces between them.
func (r reader) text(t testing.TB, name string) string {
	t.Helper()
	out, err := exec.Command(r.mandoc, "-Tutf8", filepath.Join(r.folder, name)).Output()
	if err != nil {
		t.Fatalf("mandoc %s: %v", name, err)
	}
	return words(overstrike.ReplaceAllString(string(out), ""))
}

func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// has fails the test if a page lacks words of a command's help: those about it, its arguments,
// its flags or its subcommands.
func (r reader) has(t testing.TB, name string, node *kong.Node) {
	t.Helper()
	page := r.text(t, name)
	must := func(text string) {
		t.Helper()
		if text = words(text); !strings.Contains(page, text) {
			t.Errorf("%s lacks %q", name, text)
		}
	}
	for paragraph := range strings.SplitSeq(node.Detail, "\n\n") {
		if !strings.HasSuffix(paragraph, ":") { // a heading can become a section
			must(paragraph)
		}
	}
	for _, value := range node.Values() {
		must(value.Help)
		if value.Flag != nil {
			must("--" + value.Name)
		}
	}
	for _, child := range shown(node) {
		must(child.Help)
		if node.Parent != nil {
			r.has(t, name, child)
		}
	}
}
