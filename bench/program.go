package main

import (
	"os/exec"
	"path/filepath"
)

// build builds a command of this module and returns its path.
func build(s *stage, pkg string) string {
	path := filepath.Join(s.TempDir(), filepath.Base(pkg))
	if output, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		s.Fatalf("go build %s: %v\n%s", pkg, err, output)
	}
	return path
}
