package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/pelletier/go-toml/v2"
)

// root is the module's folder.
const root = "../.."

// A mention is code in a documentation file: a span in backticks, or a block.
type mention struct {
	file     string // from the module's folder
	line     int
	text     string
	block    bool
	language string // of a block, as its fence says
}

func (m mention) String() string { return fmt.Sprintf("%s:%d: `%s`", m.file, m.line, m.text) }

// lines are those of a block, each as a mention of its own, or the span itself.
func (m mention) lines() (all []mention) {
	for i, line := range strings.Split(m.text, "\n") {
		all = append(all, mention{m.file, m.line + i, strings.TrimSpace(line), m.block, m.language})
	}
	return all
}

// documents are the Markdown files of the module, without those of tests.
func documents(t *testing.T) (files []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "bench/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	return files
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// A reader finds each page in the index, and finds it once.
func TestIndexHasEveryPageOnce(t *testing.T) {
	index := strings.Split(read(t, filepath.Join(root, "docs/README.md")), "\n")
	for _, pattern := range []string{"*.md", "upstream/*.md", "upstream/*/README.md", "cases/README.md"} {
		pages, err := filepath.Glob(filepath.Join(root, "docs", pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %v, %v", pattern, pages, err)
		}
		for _, path := range pages {
			page, err := filepath.Rel(filepath.Join(root, "docs"), path)
			if err != nil {
				t.Fatal(err)
			}
			rows := 0
			for _, line := range index {
				if strings.Contains(line, "]("+page+")") {
					rows++
				}
			}
			if rows != 1 && page != "README.md" {
				t.Errorf("docs/README.md has docs/%s in %d rows, want 1", page, rows)
			}
		}
	}
}

var span = regexp.MustCompile("`([^`]+)`")

// renamed heads the changelog's section with the names of earlier times.
const renamed = "### Incompatible"

func mentions(t *testing.T) (all []mention) {
	t.Helper()
	for _, name := range documents(t) {
		file, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		var block *mention
		heading := ""
		for i, line := range strings.Split(read(t, name), "\n") {
			fence, fenced := strings.CutPrefix(strings.TrimSpace(line), "```")
			switch {
			case fenced && block == nil:
				block = &mention{file: file, line: i + 2, block: true, language: fence}
			case fenced:
				all = append(all, *block)
				block = nil
			case block != nil:
				block.text += line + "\n"
			case strings.HasPrefix(line, "#"):
				heading = line
			case heading != renamed:
				for _, m := range span.FindAllStringSubmatch(line, -1) {
					all = append(all, mention{file: file, line: i + 1, text: m[1]})
				}
			}
		}
	}
	return all
}

func TestDocumentsNameFilesThatExist(t *testing.T) {
	names := parseModule(t)
	path := regexp.MustCompile(`^(?:\./)?([\w.-]+)/[\w.*/{},-]*$`)
	folder := regexp.MustCompile(`^([\w.-]+/\S*)(?:  .*)?$`) // in a list of folders
	for _, block := range mentions(t) {
		for _, m := range block.lines() {
			word := m.text
			if m.block {
				if word = ""; folder.MatchString(m.text) {
					word = folder.FindStringSubmatch(m.text)[1]
				}
			}
			match := path.FindStringSubmatch(word)
			if match == nil {
				continue
			}
			first := match[1]
			if first == "build" { // what make man and make packages write
				continue
			}
			if p := names.byName[first]; p != nil && filepath.Ext(word) == ".go" { // smtpd/session.go, short for internal/smtpd/session.go
				word = p.dir + strings.TrimPrefix(word, first)
			} else if info, err := os.Stat(filepath.Join(root, first)); err != nil || !info.IsDir() {
				continue
			}
			for _, one := range alternatives(word) {
				if found, _ := filepath.Glob(filepath.Join(root, one)); len(found) == 0 {
					t.Errorf("%v: there is no %s", m, one)
				}
			}
		}
	}
}

// alternatives resolves one list in braces, as a shell does.
func alternatives(path string) (all []string) {
	before, rest, ok := strings.Cut(path, "{")
	if !ok {
		return []string{path}
	}
	list, after, _ := strings.Cut(rest, "}")
	for one := range strings.SplitSeq(list, ",") {
		all = append(all, before+one+after)
	}
	return all
}

func TestDocumentsLinkToWhatExists(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, name := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue
			}
			to := name
			if target != "" {
				to = filepath.Join(filepath.Dir(name), target)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
			} else if anchor != "" && !slices.Contains(anchors(read(t, to)), anchor) {
				t.Errorf("%s: the link %s names a heading that %s does not have", name, m[1], to)
			}
		}
	}
}

func TestIndexHasEachPage(t *testing.T) {
	index := filepath.Join(root, "docs/README.md")
	pages, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, index)
	for _, page := range pages {
		if name := filepath.Base(page); page != index && !strings.Contains(text, "]("+name+")") {
			t.Errorf("%s does not list %s: add it to what its reader wants", index, name)
		}
	}
}

// anchors are the headings of a document as links name them.
func anchors(document string) (all []string) {
	block := false
	for line := range strings.SplitSeq(document, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			block = !block
		}
		if heading := strings.TrimLeft(line, "#"); !block && heading != line {
			all = append(all, strings.Map(anchor, strings.TrimSpace(heading)))
		}
	}
	return all
}

func anchor(r rune) rune {
	switch {
	case r == ' ':
		return '-'
	case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
		return unicode.ToLower(r)
	}
	return -1
}

func TestArchitectureListsEachPackage(t *testing.T) {
	const file = "docs/architecture.md"
	list := read(t, filepath.Join(root, file))
	for dir := range parseModule(t).byDir {
		if strings.HasPrefix(dir, "bench/") {
			continue // programs of the benchmarks
		}
		if !strings.Contains(list, "\n"+dir+"/ ") {
			t.Errorf("%s does not list the package %s: add a line that begins with %s/ to its folders", file, dir, dir)
		}
	}
}

func TestDependenciesHaveReasons(t *testing.T) {
	const file = "docs/dependencies.md"
	page := read(t, filepath.Join(root, file))
	modules := read(t, filepath.Join(root, "go.mod")) + read(t, filepath.Join(root, "examples/grpc/go.mod"))
	required := regexp.MustCompile(`(?m)^\t(?:github\.com/)?(\S+?)(?:/v\d+)? v\S+$`) // those marked indirect end in a comment
	for _, match := range required.FindAllStringSubmatch(modules, -1) {
		if !strings.Contains(page, match[1]) {
			t.Errorf("%s does not say what %s is for", file, match[1])
		}
	}
	listed := regexp.MustCompile("(?m)^\\| `([^`]+)`") // a module, or a package of one
	for _, match := range listed.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(modules, "\t"+match[1]+" ") && !strings.Contains(modules, "\t"+filepath.Dir(match[1])+" ") {
			t.Errorf("%s lists %s, which no go.mod does", file, match[1])
		}
	}
}

func TestDocumentsNameMakeTargetsThatExist(t *testing.T) {
	makefile := read(t, filepath.Join(root, "Makefile"))
	command := regexp.MustCompile(`^make ([a-z-]+)`)
	for _, block := range mentions(t) {
		for _, m := range block.lines() {
			if match := command.FindStringSubmatch(m.text); match != nil && !strings.Contains(makefile, "\n"+match[1]+":") {
				t.Errorf("%v: the Makefile has no target %s", m, match[1])
			}
		}
	}
}

func TestDocumentsNameSettingsThatExist(t *testing.T) {
	const example = "deploy/postern.toml" // has each setting, as package config tests
	commented := regexp.MustCompile(`(?m)^#([a-z\[])`)
	known, err := settings(commented.ReplaceAllString(read(t, filepath.Join(root, example)), "$1"))
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`^\[{1,2}([a-z-]+(?:\.[a-z-]+)*)\]{1,2}$`)
	assignment := regexp.MustCompile(`^([a-z-]+(?:\.[a-z-]+)*) = ["\[a-z0-9]`)
	dotted := regexp.MustCompile(`^([a-z-]+)\.[a-z-]+(?:\.[a-z-]+)*$`)
	for _, m := range mentions(t) {
		var named []string
		if m.language == "toml" {
			named, err = settings(m.text)
			if err != nil {
				t.Errorf("%v: %v", m, err)
			}
		} else if match := table.FindStringSubmatch(m.text); match != nil {
			named = match[1:]
		} else if match := assignment.FindStringSubmatch(m.text); match != nil {
			named = match[1:]
		} else if match := dotted.FindStringSubmatch(m.text); match != nil && slices.Contains(known, match[1]) && match[0] != "ledger.db" {
			named = match[:1]
		}
		for _, key := range named {
			if !slices.ContainsFunc(known, func(k string) bool { return k == key || strings.HasSuffix(k, "."+key) }) {
				t.Errorf("%v: %s has no setting %s", m, example, key)
			}
		}
	}
}

// settings are the keys and tables of a configuration, dotted.
func settings(text string) (keys []string, err error) {
	var values map[string]any
	if err := toml.Unmarshal([]byte(text), &values); err != nil {
		return nil, err
	}
	var add func(prefix string, v any)
	add = func(prefix string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				keys = append(keys, prefix+key)
				add(prefix+key+".", value)
			}
		case []any:
			for _, value := range v {
				add(prefix, value)
			}
		}
	}
	add("", values)
	return keys, nil
}

// A decision is cited by its number.
func TestDecisionsHaveNumbersOfTheirOwn(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/decisions/*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	by := make(map[string]string)
	for _, file := range files {
		name := filepath.Base(file)
		number, _, _ := strings.Cut(name, "-")
		if other := by[number]; other != "" {
			t.Errorf("docs/decisions: %s and %s have one number", other, name)
		}
		by[number] = name
		if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "# "+number+": ") {
			t.Errorf("docs/decisions/%s does not begin with its number, %v", name, err)
		}
	}
}
