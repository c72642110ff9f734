package logkey_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const (
	root      = "../.."
	catalogue = root + "/docs/logs.md"
)

// A message is what the source logs, or what the catalogue lists.
type message struct {
	levels []string // debug, info, warn or error; empty: it varies
	keys   []string // of attributes
	place  string
}

// Operators look messages up in docs/logs.md. Each message of the source is listed there,
// and each one listed is in the source.
func TestCatalogueListsEachMessage(t *testing.T) {
	logged, listed := readSource(t), readCatalogue(t)
	for text, m := range logged {
		row, ok := listed[text]
		if !ok {
			t.Errorf("%s logs %q, which docs/logs.md does not list; add the line\n%s", m.place, text, m.row(text))
			continue
		}
		for _, level := range m.levels {
			if !slices.Contains(row.levels, level) {
				t.Errorf("%s logs %q at level %s, docs/logs.md has %s", m.place, text, level, strings.Join(row.levels, ", "))
			}
		}
		for _, key := range m.keys {
			if !slices.Contains(row.keys, key) {
				t.Errorf("%s logs %q with the attribute %s, which its line in docs/logs.md does not have", m.place, text, key)
			}
		}
	}
	for text, row := range listed {
		if _, ok := logged[text]; !ok {
			t.Errorf("%s: no source logs %q any more; remove the line", row.place, text)
		}
		for _, key := range row.keys {
			if !slices.Contains(slices.Collect(maps.Values(keys(t))), key) {
				t.Errorf("%s: %s is not an attribute of package logkey", row.place, key)
			}
		}
	}
}

// A message is a constant, so that it can be searched for, and has the form of the others.
func TestMessagesHaveOneForm(t *testing.T) {
	for text, m := range readSource(t) {
		first, _, _ := strings.Cut(text, " ")
		if !unicode.IsLower([]rune(text)[0]) && strings.ToUpper(first[:2]) != first[:2] {
			t.Errorf("%s: %q begins in upper case", m.place, text)
		}
		if strings.ContainsAny(text[len(text)-1:], ".!:") || strings.ContainsAny(text, "\n\"%=") {
			t.Errorf("%s: %q ends with a full stop or has details, which belong in attributes", m.place, text)
		}
	}
}

// The table of attributes has each key, and no other.
func TestCatalogueExplainsEachKey(t *testing.T) {
	page, err := os.ReadFile(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	_, attributes, found := strings.Cut(string(page), "\n## Attributes\n")
	if !found {
		t.Fatal("docs/logs.md has no table of attributes")
	}
	explained := make(map[string]bool)
	for line := range strings.Lines(attributes) {
		column, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for _, key := range code.FindAllStringSubmatch(column, -1) {
			explained[key[1]] = true
		}
	}
	for name, key := range keys(t) {
		if !explained[key] {
			t.Errorf("docs/logs.md does not explain `%s`, which is logkey.%s", key, name)
		}
		delete(explained, key)
	}
	for key := range explained {
		t.Errorf("docs/logs.md explains `%s`, which is not a key of package logkey", key)
	}
}

// A line that the documentation shows has the attributes that the catalogue lists for it, and a
// session's has all that each one has.
func TestLinesInDocumentationAreAsLogged(t *testing.T) {
	listed := readCatalogue(t)
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^(?:time=\S+ )?level=([A-Z]+) msg=(?:"([^"]+)"|(\S+))(.*)$`)
	attribute := regexp.MustCompile(` ([a-z0-9_]+)=(?:"(?:[^"\\]|\\.)*"|\S+)`)
	shown := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range line.FindAllStringSubmatch(string(text), -1) {
			shown++
			message := found[2] + found[3]
			row, ok := listed[message]
			if level := strings.ToLower(found[1]); !ok || !slices.Contains(row.levels, level) {
				t.Errorf("%s shows %q at level %s, which docs/logs.md does not list", page, message, level)
			}
			var has []string
			for _, key := range attribute.FindAllStringSubmatch(found[4], -1) {
				has = append(has, key[1])
				if !slices.Contains(row.keys, key[1]) {
					t.Errorf("%s shows %q with the attribute %s, which its line in docs/logs.md does not have", page, message, key[1])
				}
			}
			always := []string{"messages", "rcpts", "bytes", "refused", "deferred", "duration", "end"}
			if message == "session" && !strings.Contains(strings.Join(has, " "), strings.Join(always, " ")) {
				t.Errorf("%s shows a session with %q, and each has %q", page, has, always)
			}
		}
	}
	if shown == 0 {
		t.Error("the documentation shows no line")
	}
}

func (m message) row(text string) string {
	quoted := make([]string, len(m.keys))
	for i, key := range m.keys {
		quoted[i] = "`" + key + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s | MEANING | WHAT TO DO |", text, strings.Join(m.levels, ", "), strings.Join(quoted, ", "))
}

// keys are the attribute keys of package logkey by their names.
func keys(t *testing.T) map[string]string {
	t.Helper()
	source, err := os.ReadFile("logkey.go")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, found := range regexp.MustCompile(`(?m)^\t(\w+) += "([a-z0-9_]+)"`).FindAllStringSubmatch(string(source), -1) {
		all[found[1]] = found[2]
	}
	if len(all) == 0 {
		t.Fatal("logkey.go has no keys")
	}
	return all
}

var (
	row  = regexp.MustCompile("^\\| `([^`]+)` \\| ([a-z, ]+) \\|([^|]*)\\| [^|]+ \\| [^|]+ \\|$")
	code = regexp.MustCompile("`([^`]+)`")
)

// readCatalogue reads the tables of docs/logs.md that have five columns.
func readCatalogue(t *testing.T) map[string]message {
	t.Helper()
	page, err := os.ReadFile(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]message)
	for i, line := range strings.Split(string(page), "\n") {
		found := row.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		m := message{levels: strings.Split(found[2], ", "), place: fmt.Sprintf("docs/logs.md:%d", i+1)}
		for _, key := range code.FindAllStringSubmatch(found[3], -1) {
			m.keys = append(m.keys, key[1])
		}
		if _, twice := listed[found[1]]; twice {
			t.Errorf("%s: %q is listed twice", m.place, found[1])
		}
		listed[found[1]] = m
	}
	return listed
}

// A source is the module's source, read package by package.
type source struct {
	t        *testing.T
	files    *token.FileSet
	keys     map[string]string
	wrappers map[string]int // functions that log a message they are given, and which argument it is
	logged   map[string]message
}

// readSource finds the messages in all packages of the module.
func readSource(t *testing.T) map[string]message {
	t.Helper()
	s := &source{t: t, files: token.NewFileSet(), keys: keys(t), logged: make(map[string]message)}
	packages := make(map[string][]*ast.File)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			file, err := parser.ParseFile(s.files, path, nil, 0)
			packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], file)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range packages {
		s.wrappers = make(map[string]int)
		for range 2 { // the first time finds the wrappers
			for _, file := range files {
				for _, decl := range file.Decls {
					if f, ok := decl.(*ast.FuncDecl); ok {
						s.function(f)
					}
				}
			}
		}
	}
	return s.logged
}

// methods of a [slog.Logger] and the argument that is the message.
var methods = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1, "Log": 2, "LogAttrs": 2,
}

func (s *source) function(f *ast.FuncDecl) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		at, wraps := s.wrappers[method.Sel.Name]
		if named(method.X, "log") {
			at, ok = methods[method.Sel.Name]
		} else {
			ok = wraps
		}
		if ok && at < len(call.Args) {
			s.call(f, method.Sel.Name, call, at)
		}
		return true
	})
}

// named reports whether an expression is a variable or field of the name.
func named(x ast.Expr, name string) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.EqualFold(x.Name, name)
	case *ast.SelectorExpr:
		return strings.EqualFold(x.Sel.Name, name)
	}
	return false
}

// call notes a call that logs the argument at a position.
func (s *source) call(f *ast.FuncDecl, method string, call *ast.CallExpr, at int) {
	place := strings.TrimPrefix(s.files.Position(call.Pos()).String(), root+"/")
	literal, ok := call.Args[at].(*ast.BasicLit)
	if !ok {
		if parameter, ok := call.Args[at].(*ast.Ident); ok {
			if i := slices.Index(parameters(f), parameter.Name); i >= 0 {
				s.wrappers[f.Name.Name] = i
				return
			}
		}
		s.t.Errorf("%s: the message is not a constant string", place)
		return
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil || text == "" {
		s.t.Errorf("%s: the message is %s", place, literal.Value)
		return
	}
	m := s.logged[text]
	m.place = place
	if level := strings.ToLower(strings.TrimSuffix(method, "Context")); slices.Contains([]string{"debug", "info", "warn", "error"}, level) {
		m.levels = append(m.levels, level)
	}
	for i, argument := range call.Args {
		if literal, ok := argument.(*ast.BasicLit); ok && i > at && (i-at)%2 == 1 {
			s.t.Errorf("%s: the attribute %s is not a constant of package logkey", place, literal.Value)
		}
		ast.Inspect(argument, func(n ast.Node) bool {
			name, ok := n.(*ast.SelectorExpr)
			switch {
			case !ok:
			case named(name.X, "logkey"):
				m.keys = append(m.keys, s.keys[name.Sel.Name])
			case named(name.X, "slog") && strings.HasPrefix(name.Sel.Name, "Level"):
				m.levels = append(m.levels, strings.ToLower(strings.TrimPrefix(name.Sel.Name, "Level")))
			}
			return true
		})
	}
	slices.Sort(m.levels)
	slices.Sort(m.keys)
	m.levels, m.keys = slices.Compact(m.levels), slices.Compact(m.keys)
	s.logged[text] = m
}

// parameters are the names of a function's parameters.
func parameters(f *ast.FuncDecl) (names []string) {
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	return names
}
