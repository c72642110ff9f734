// Package scripts has the tests of the scripts in this folder.
package scripts

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const published = "example.org/front/postern"

// Who publishes the module gives it a path with one command. It builds, the tests of its public
// packages pass, and another module gets it through a module proxy.
func TestModuleIsPublishedUnderAnotherPath(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the script is for a Unix shell")
	}
	module := filepath.Join(t.TempDir(), "module")
	copySources(t, module)
	before := sources(t, module)

	run(t, module, nil, "scripts/set-module-path", published)
	run(t, module, nil, "go", "build", "./...")
	run(t, module, nil, "go", "test", "./sessionticket/strictclient", "./mtasts", "./tlsrpt", "./handshake/...", "./interop", "./examples")
	run(t, module, nil, "go", "test", "-run", "Finished|HTTP|Example", "./sessionticket")

	proxy := filepath.Join(t.TempDir(), "proxy")
	publish(t, module, proxy, "v0.1.0")
	consumer := t.TempDir()
	write(t, filepath.Join(consumer, "main.go"), importing(published))
	env := []string{
		"GOPROXY=file://" + proxy, // which has no other module
		"GONOSUMDB=*", "GONOPROXY=", "GOFLAGS=-mod=mod -modcacherw", "GOMODCACHE=" + filepath.Join(t.TempDir(), "mod"),
	}
	run(t, consumer, env, "go", "mod", "init", "example.org/consumer")
	run(t, consumer, env, "go", "get", published+"@v0.1.0")
	if got := run(t, consumer, env, "go", "run", "."); got != "own-write\n" {
		t.Errorf("the consumer printed %q", got)
	}
	run(t, consumer, env, "go", "mod", "tidy")
	if sums := read(t, filepath.Join(consumer, "go.sum")); strings.Count(sums, "\n") != 2 {
		t.Errorf("the consumer's go.sum has more than the module itself:\n%s", sums)
	}

	// A fork renames it again.
	run(t, module, nil, "scripts/set-module-path", "postern")
	for name, text := range sources(t, module) {
		if before[name] != text {
			t.Errorf("%s differs after the module got its old path back", name)
		}
	}
}

// Before the module is published, the commands of README work.
func TestREADMESaysHowToEmbed(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "../README.md"), "## The gate in your own server\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(blocks) != 2 {
		t.Fatalf("README has %d blocks of commands in its section about the gate, want 2", len(blocks))
	}
	parent := t.TempDir()
	copySources(t, filepath.Join(parent, "postern"))
	for i, path := range []string{"postern", "example.org/consumer/internal"} {
		consumer := filepath.Join(parent, fmt.Sprint("consumer", i))
		write(t, filepath.Join(consumer, "main.go"), importing(path))
		run(t, consumer, nil, "go", "mod", "init", "example.org/consumer")
		run(t, consumer, []string{"GOPROXY=off"}, "sh", "-ec", blocks[i][1])
		if got := run(t, consumer, []string{"GOPROXY=off"}, "go", "run", "."); got != "own-write\n" {
			t.Errorf("after the commands\n%s\nthe consumer printed %q", blocks[i][1], got)
		}
	}
}

func importing(path string) string {
	return fmt.Sprintf("package main\n\nimport (\n\t\"fmt\"\n\t%q\n)\n\nfunc main() { fmt.Println(new(sessionticket.Gate).Mode) }\n", path+"/sessionticket")
}

// copySources copies what belongs to the module, without what tests and builds leave here.
func copySources(t *testing.T, to string) {
	t.Helper()
	for name, text := range sources(t, "..") {
		file := filepath.Join(to, name)
		write(t, file, text)
		if info, err := os.Stat(filepath.Join("..", name)); err != nil {
			t.Fatal(err)
		} else if err := os.Chmod(file, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// sources returns the files of the module in root, by name.
func sources(t *testing.T, root string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if slices.Contains([]string{".git", ".cache", "build", "postern-data", "postern"}, name) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// publish puts a version of the module into a folder with the layout of a module proxy.
func publish(t *testing.T, module, proxy, version string) {
	t.Helper()
	files := sources(t, module)
	folder := filepath.Join(proxy, published, "@v")
	write(t, filepath.Join(folder, "list"), version+"\n")
	write(t, filepath.Join(folder, version+".info"), fmt.Sprintf("{%q: %q}", "Version", version))
	write(t, filepath.Join(folder, version+".mod"), files["go.mod"])
	archive, err := os.Create(filepath.Join(folder, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	compressed := zip.NewWriter(archive)
	for name, text := range files {
		if strings.HasPrefix(name, "examples/grpc/") { // a module of its own
			continue
		}
		file, err := compressed.Create(published + "@" + version + "/" + filepath.ToSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run returns what a command prints on its standard output.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	var out, said strings.Builder
	command := exec.Command(name, args...)
	command.Dir, command.Env, command.Stdout, command.Stderr = dir, append(os.Environ(), env...), &out, &said
	if strings.Contains(name, "/") {
		command.Path = filepath.Join(dir, name)
	}
	if err := command.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String()
}
