package archtest

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// A command is a command of cmd, or one of its subcommands, as kong reads it from the
// tags of a struct.
type command struct {
	flags       map[string]bool // with -- or -
	subcommands map[string]*command
	arguments   bool
}

// A commandLine reads the structs of one program.
type commandLine struct {
	t       *testing.T
	structs map[string]*ast.StructType // by name, those of other packages with the package
}

// parseCommand is the command line of the program in dir. Its struct is the one
// with the flag --version.
func parseCommand(t *testing.T, dir string) *command {
	t.Helper()
	l := commandLine{t, make(map[string]*ast.StructType)}
	l.read(dir, "")
	l.read("internal/config", "config.")
	l.read("internal/terminal", "terminal.")
	for _, s := range l.structs {
		if slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool { return typeName(f.Type) == "VersionFlag" }) {
			return l.command(s)
		}
	}
	t.Fatalf("no struct in %s has a kong.VersionFlag", dir)
	return nil
}

func (l commandLine) read(dir, prefix string) {
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			l.t.Fatal(err)
		}
		for n := range ast.Preorder(file) {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					l.structs[prefix+spec.Name.Name] = s
				}
			}
		}
	}
}

func (l commandLine) command(s *ast.StructType) *command {
	c := &command{map[string]bool{"--help": true, "-h": true}, make(map[string]*command), false}
	l.add(c, s, "")
	return c
}

// add adds the fields of a struct: flags, arguments, subcommands, and other structs.
func (l commandLine) add(c *command, s *ast.StructType, prefix string) {
	for _, field := range s.Fields.List {
		var tag reflect.StructTag
		if field.Tag != nil {
			text, _ := strconv.Unquote(field.Tag.Value)
			tag = reflect.StructTag(text)
		}
		var fields *ast.StructType
		switch t := field.Type.(type) {
		case *ast.Ident:
			fields = l.structs[t.Name]
		case *ast.SelectorExpr:
			fields = l.structs[t.X.(*ast.Ident).Name+"."+t.Sel.Name]
		case *ast.StructType:
			fields = t
		}
		_, embedded := tag.Lookup("embed")
		if (len(field.Names) == 0 || embedded) && fields != nil {
			l.add(c, fields, prefix+tag.Get("prefix"))
			continue
		}
		for _, name := range field.Names {
			l.field(c, fields, cmp.Or(tag.Get("name"), dashed(name.Name)), tag, prefix)
		}
	}
}

func (l commandLine) field(c *command, fields *ast.StructType, name string, tag reflect.StructTag, prefix string) {
	_, isCommand := tag.Lookup("cmd")
	_, isArgument := tag.Lookup("arg")
	switch {
	case tag.Get("kong") == "-":
	case isCommand:
		sub := l.command(fields)
		c.subcommands[name] = sub
		if tag.Get("default") != "" { // runs when no subcommand is named
			maps.Copy(c.flags, sub.flags)
			c.arguments = c.arguments || sub.arguments
		}
	case isArgument:
		c.arguments = true
	default:
		c.flags["--"+prefix+name] = true
		if short := tag.Get("short"); short != "" {
			c.flags["-"+short] = true
		}
		if _, ok := tag.Lookup("negatable"); ok {
			c.flags["--no-"+prefix+name] = true
		}
	}
}

// dashed is the name of a field as kong makes it a flag's: ListenTLS is listen-tls.
func dashed(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		follows := i > 0 && !unicode.IsUpper(runes[i-1])
		begins := i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if unicode.IsUpper(r) && (follows || begins) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// commandIn is the call of one of our programs in a line of a shell, without its name's path.
var commandIn = regexp.MustCompile(`^(?:\$ )?(?:go run \./cmd/|\./|/usr/local/bin/|ExecStart=)?(postern|postern-lab)( .*)?$`)

func TestDocumentsNameCommandsThatExist(t *testing.T) {
	programs := map[string]*command{
		"postern":     parseCommand(t, "cmd/postern"),
		"postern-lab": parseCommand(t, "cmd/postern-lab"),
	}
	for _, block := range append(mentions(t), comments(t, "deploy/postern.toml"), comments(t, "deploy/postern.service")) {
		for _, m := range block.lines() {
			flag, _, _ := strings.Cut(m.text, " ")
			if !m.block && strings.HasPrefix(flag, "--") && !programs["postern"].has(flag) && !programs["postern-lab"].has(flag) {
				t.Errorf("%v: no command has this flag", m)
			}
			match := commandIn.FindStringSubmatch(m.text)
			if match == nil {
				continue
			}
			if problem := programs[match[1]].check(strings.Fields(match[2])); problem != "" {
				t.Errorf("%v: %s", m, problem)
			}
		}
	}
}

// comments are a file's lines, without the # of a comment, as a block.
func comments(t *testing.T, file string) mention {
	t.Helper()
	comment := regexp.MustCompile(`(?m)^#(?:   )?`)
	return mention{file: file, line: 1, text: comment.ReplaceAllString(read(t, filepath.Join(root, file)), ""), block: true}
}

// has says whether the command or one below it has a flag.
func (c *command) has(flag string) bool {
	return c.flags[flag] || slices.ContainsFunc(slices.Collect(maps.Values(c.subcommands)), func(s *command) bool { return s.has(flag) })
}

// check follows words from the command to its subcommands and flags. It stops at what is
// neither, such as a shell's comment, and returns what is wrong.
func (c *command) check(words []string) string {
	word := regexp.MustCompile(`^[a-z][a-z-]*$`)
	flags := maps.Clone(c.flags)
	for _, w := range words {
		name, _, _ := strings.Cut(strings.TrimRight(w, ",;:"), "=")
		switch sub := c.subcommands[name]; {
		case strings.HasPrefix(w, "#"):
			return ""
		case strings.HasPrefix(w, "-"):
			if !flags[name] {
				return "it has no flag " + name
			}
		case sub != nil:
			c = sub
			maps.Copy(flags, sub.flags)
			if name != w {
				return "" // the end of a sentence
			}
		case len(c.subcommands) > 0 && !c.arguments && word.MatchString(name):
			return "it has no subcommand " + name + ", only " + strings.Join(slices.Sorted(maps.Keys(c.subcommands)), ", ")
		}
	}
	return ""
}
