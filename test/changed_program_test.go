package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A change replaces text in a source file, where it is once.
type change struct{ file, text, by string }

// buildChanged builds the program with changes to its sources, or to those of the standard library,
// and returns its path.
func buildChanged(t *testing.T, changes ...change) string {
	t.Helper()
	dir, replaced := t.TempDir(), make(map[string]string)
	for i, c := range changes {
		path, err := filepath.Abs(c.file)
		if err != nil {
			t.Fatal(err)
		}
		if replaced[path] == "" {
			replaced[path] = path
		}
		source, err := os.ReadFile(replaced[path])
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), c.text); n != 1 {
			t.Fatalf("%s has %d times %q, want it once", c.file, n, c.text)
		}
		replaced[path] = filepath.Join(dir, strconv.Itoa(i)+".go")
		if err := os.WriteFile(replaced[path], []byte(strings.Replace(string(source), c.text, c.by, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	list, built := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "postern")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := goTool(slices.Concat([]string{"build"}, testFlags(), []string{"-overlay", list, "-o", built, "postern/cmd/postern"})...); err != nil {
		t.Fatal(err)
	}
	return built
}
