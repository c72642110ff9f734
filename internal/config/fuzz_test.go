package config

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad looks for files that make Load panic, or that it takes without
// having what every configuration has.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.toml")
	for _, file := range append(files, exampleFile) {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
		f.Add(commented.ReplaceAll(content, []byte("$1")))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		name := filepath.Join(t.TempDir(), "postern.toml")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(name, Flags{Data: t.TempDir()})
		if problems, ok := err.(Problems); err != nil && (!ok || len(problems) == 0) {
			t.Errorf("got %v", err)
		}
		if err == nil && (c.Hostname == "" || len(c.Domains) == 0 || len(c.Listen)+len(c.ListenTLS) == 0) {
			t.Errorf("got %+v", c)
		}
	})
}
