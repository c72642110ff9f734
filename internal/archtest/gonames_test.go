package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A goPackage is the names of one package, those of its tests included.
type goPackage struct {
	name, dir string                     // dir from the module's folder
	decls     map[string]bool            // what is declared at its top level
	members   map[string]map[string]bool // fields and methods by type
	comments  []comment
	docs      []doc // of its functions and types, not those of tests
}

// A doc is a doc comment.
type doc struct{ at, name, text string }

type comment struct {
	file    string // from the module's folder
	line    int
	text    string
	imports []string // of the file
}

// A module is its packages.
type module struct {
	byName map[string]*goPackage // the first of a name that is not main
	byDir  map[string]*goPackage
}

var parsed = sync.OnceValues(parse)

func parseModule(t *testing.T) module {
	t.Helper()
	m, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func parse() (module, error) {
	m := module{make(map[string]*goPackage), make(map[string]*goPackage)}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		return m.add(path)
	})
	return m, err
}

// add adds the names of one file.
func (m module) add(path string) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	path, err = filepath.Rel(root, path)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	p := m.byDir[dir]
	if p == nil {
		p = &goPackage{
			name: strings.TrimSuffix(file.Name.Name, "_test"), dir: dir,
			decls: make(map[string]bool), members: make(map[string]map[string]bool),
		}
		m.byDir[dir] = p
		if p.name != "main" && m.byName[p.name] == nil {
			m.byName[p.name] = p
		}
	}
	note := func(name string, group *ast.CommentGroup) {
		if group != nil && name != "main" && !strings.HasSuffix(path, "_test.go") {
			at := fmt.Sprintf("%s:%d", path, set.Position(group.Pos()).Line)
			p.docs = append(p.docs, doc{at, name, group.Text()})
		}
	}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			note(decl.Name.Name, decl.Doc)
			if decl.Recv == nil {
				p.decls[decl.Name.Name] = true
			} else if t := typeName(decl.Recv.List[0].Type); t != "" {
				p.member(t, decl.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				p.spec(spec)
				if t, ok := spec.(*ast.TypeSpec); ok && len(decl.Specs) == 1 {
					note(t.Name.Name, decl.Doc)
				} else if ok {
					note(t.Name.Name, t.Doc)
				}
			}
		}
	}
	var imports []string
	for _, i := range file.Imports {
		imports = append(imports, strings.Trim(i.Path.Value, `"`))
	}
	for _, group := range file.Comments {
		p.comments = append(p.comments, comment{path, set.Position(group.Pos()).Line, group.Text(), imports})
	}
	return nil
}

func (p *goPackage) spec(spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			p.decls[name.Name] = true
		}
	case *ast.TypeSpec:
		p.decls[spec.Name.Name] = true
		switch t := spec.Type.(type) {
		case *ast.StructType:
			for _, field := range t.Fields.List {
				if len(field.Names) == 0 {
					p.member(spec.Name.Name, typeName(field.Type))
					p.member(spec.Name.Name, "*") // what is embedded is not looked into
				}
				for _, name := range field.Names {
					p.member(spec.Name.Name, name.Name)
				}
			}
		case *ast.InterfaceType:
			for _, field := range t.Methods.List {
				if len(field.Names) == 0 {
					p.member(spec.Name.Name, "*")
				}
				for _, name := range field.Names {
					p.member(spec.Name.Name, name.Name)
				}
			}
		}
	}
}

func (p *goPackage) member(of, name string) {
	if p.members[of] == nil {
		p.members[of] = make(map[string]bool)
	}
	p.members[of][name] = true
}

// has says whether the package has a name, or a name and a member of it.
func (p *goPackage) has(name, member string) bool {
	return p.decls[name] && (member == "" || p.members[name][member] || p.members[name]["*"])
}

// typeName is the name of a type without its package, pointers and parameters.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	}
	return ""
}

// A reference is package.Name, package.Type.Member or, of a type of the module,
// Type.Member.
var reference = regexp.MustCompile(`(?:^|[^\w./-])([A-Za-z]\w*)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)

// missing are the references in text to what the module does not have. Packages
// and types of others are passed over.
func (m module) missing(text string) (all []string) {
	for _, r := range reference.FindAllStringSubmatch(text, -1) {
		name := strings.TrimLeft(r[0], " \t([{*&,;=!\"'")
		if p := m.byName[r[1]]; p != nil {
			if !p.has(r[2], r[3]) {
				all = append(all, name)
			}
			continue
		}
		var declared, found bool
		for _, p := range m.byDir {
			if p.decls[r[1]] && ast.IsExported(r[1]) {
				declared = true
				found = found || p.has(r[1], r[2])
			}
		}
		if declared && !found {
			all = append(all, name)
		}
	}
	return all
}

func TestDocumentsNameGoThatExists(t *testing.T) {
	m := parseModule(t)
	test := regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)[A-Z]\w*$`)
	for _, mention := range mentions(t) {
		for _, line := range mention.lines() {
			for _, name := range m.missing(line.text) {
				t.Errorf("%v: the module has no %s", line, name)
			}
		}
		if test.MatchString(mention.text) && !m.declares(mention.text) {
			t.Errorf("%v: no package has this test", mention)
		}
	}
}

func (m module) declares(name string) bool {
	for _, p := range m.byDir {
		if p.decls[name] {
			return true
		}
	}
	return false
}

// docLink is a name in brackets, as go doc links it to what the package declares.
var docLink = regexp.MustCompile(`\[\*?([A-Z]\w*)\][^(:\w]`)

// docPath is a file of the documentation.
var docPath = regexp.MustCompile(`\bdocs/[\w/.-]+\.md\b`)

// A comment may name a package only where its file is of it or imports it: elsewhere the
// word is likely a variable's.
func TestCommentsNameGoThatExists(t *testing.T) {
	m := parseModule(t)
	for _, p := range m.byDir {
		for _, c := range p.comments {
			for _, name := range m.missing(c.text) {
				first, _, _ := strings.Cut(name, ".")
				of := m.byName[first]
				if of != nil && of != p && !slices.Contains(c.imports, "postern/"+of.dir) {
					continue
				}
				t.Errorf("%s:%d: the comment names %s, which the module does not have", c.file, c.line, name)
			}
			for _, path := range docPath.FindAllString(c.text, -1) {
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					t.Errorf("%s:%d: the comment names %s, which is not there", c.file, c.line, path)
				}
			}
			for _, link := range docLink.FindAllStringSubmatch(c.text, -1) {
				if !p.decls[link[1]] {
					t.Errorf("%s:%d: the comment links to [%s], which the package does not have", c.file, c.line, link[1])
				}
			}
		}
	}
}

// A doc comment begins with its name, as go doc expects. One that begins with another is
// often of a name that has changed.
func TestDocCommentsBeginWithTheName(t *testing.T) {
	for _, p := range parseModule(t).byDir {
		for _, d := range p.docs {
			words := strings.Fields(d.text)
			if len(words) > 1 && slices.Contains([]string{"A", "An", "The"}, words[0]) {
				words = words[1:]
			}
			if len(words) > 0 && strings.TrimRight(words[0], ",:'s") != strings.TrimRight(d.name, "s") {
				t.Errorf("%s: the doc comment of %s begins with %q", d.at, d.name, words[0])
			}
		}
	}
}
