package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A release is built only from a clean clone of a tagged commit whose changes are described,
// and programs that are built there have the tag as version.
func TestReleaseIsOfATaggedCommit(t *testing.T) {
	clone := filepath.Join(t.TempDir(), "postern")
	run := func(dir, name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(dir, name string, args ...string) string {
		t.Helper()
		out, err := run(dir, name, args...)
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return out
	}
	git := func(args ...string) {
		t.Helper()
		must(clone, "git", append([]string{"-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false"}, args...)...)
	}
	refused := func(why string) {
		t.Helper()
		if out, err := run(clone, "scripts/release", "--check"); err == nil || !strings.Contains(out, why) {
			t.Errorf("got %v and %q, want an error with %q", err, out, why)
		}
	}
	edit := func(name, before, after string) {
		t.Helper()
		path := filepath.Join(clone, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), before) {
			t.Fatalf("%s has no %q", name, before)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), before, after, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	must(".", "git", "clone", "--quiet", "--no-tags", "..", clone)
	refused("no tag of a version")
	git("tag", "v0.99.0")
	refused("CHANGELOG.md has no line '## 0.99.0 (20")
	edit("CHANGELOG.md", "\n## ", "\n## 0.99.0 (2026-12-01)\n\n## ")
	refused("CHANGELOG.md") // changed, and not committed
	git("commit", "--quiet", "--all", "--message", "Release 0.99.0")
	refused("no tag of a version")
	git("tag", "--force", "v0.99.0")
	refused("docs/upgrading.md has no section 'To 0.99.0'")
	edit("docs/upgrading.md", "\n## To ", "\n## To 0.99.0\n\n## To ")
	git("commit", "--quiet", "--all", "--amend", "--no-edit")
	git("tag", "--force", "v0.99.0")
	must(clone, "scripts/release", "--check")

	// A small program of the module; postern would take a minute to build.
	program := filepath.Join(t.TempDir(), "casedocs")
	must(clone, "go", "build", "-buildvcs=true", "-o", program, "./internal/casedocs")
	if out := must(clone, "go", "version", "-m", program); !strings.Contains(out, "\tmod\tpostern\tv0.99.0") {
		t.Errorf("the program has another version:\n%s", out)
	}
}
