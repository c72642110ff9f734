package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/oserror"
)

// read returns the settings of a file in their order.
func (l *loading) read(file string) []setting {
	if file == "" || file == os.DevNull { // the usual way to say that there is none
		return nil
	}
	content, err := oserror.ReadLargeFile(file)
	if err != nil {
		l.problems = append(l.problems, unreadable(err))
		return nil
	}
	// Unmarshal rejects invalid TOML, such as duplicate keys. It does not return
	// the lines of values, so those come from the unstable parser.
	var all map[string]any
	if err := toml.Unmarshal(content, &all); err != nil {
		l.problems = append(l.problems, notTOML(file, err))
		return nil
	}
	t := &tomlFile{name: file, newlines: newlines(content), tables: make(map[string]int)}
	t.parser.Reset(content)
	for t.parser.NextExpression() {
		t.expression(t.parser.Expression())
	}
	return t.settings
}

func unreadable(err error) Problem {
	return Problem{Where: "--config", What: oserror.Text(err), Remedy: cmp.Or(oserror.Remedy(err), "check the path")}
}

func notTOML(file string, err error) Problem {
	p := Problem{Where: file, What: strings.TrimPrefix(err.Error(), "toml: ")}
	p.Remedy = "see https://toml.io for the syntax of TOML; text, sizes and durations need quotes"
	var position *toml.DecodeError
	if errors.As(err, &position) {
		line, _ := position.Position()
		p.Where = fmt.Sprintf("%s:%d", file, line)
	}
	return p
}

// A tomlFile converts a valid file to settings.
type tomlFile struct {
	name     string
	parser   unstable.Parser
	newlines []int          // their offsets
	table    string         // the keys of the last [table] header, with a final dot
	tables   map[string]int // how many there are of each [[table]]
	settings []setting
}

// expression adds a [table] header or a key with its value.
func (t *tomlFile) expression(n *unstable.Node) {
	key, line := t.key(n.Key())
	switch n.Kind {
	case unstable.Table:
		t.header(key, line)
		t.table = key + "."
	case unstable.ArrayTable:
		table := element(key, t.tables[key])
		t.tables[key]++
		t.header(table, line)
		t.table = table + "."
	case unstable.KeyValue:
		t.keyValue(t.table, n, key, line)
	}
}

// header adds a setting for the table itself, which may be empty.
func (t *tomlFile) header(key string, line int) {
	t.settings = append(t.settings, setting{key: key, value: value{table: true}, at: t.place(line)})
}

// key joins the parts of a dotted key.
func (t *tomlFile) key(parts unstable.Iterator) (key string, line int) {
	var names []string
	for parts.Next() {
		names = append(names, string(parts.Node().Data))
		line = t.line(parts.Node())
	}
	return strings.Join(names, "."), line
}

// line returns the line of a node. [unstable.Parser.Shape] would count lines from the top
// of the file.
func (t *tomlFile) line(n *unstable.Node) int {
	before, _ := slices.BinarySearch(t.newlines, int(n.Raw.Offset))
	return before + 1
}

func newlines(content []byte) []int {
	offsets := make([]int, 0, bytes.Count(content, []byte{'\n'}))
	for i, b := range content {
		if b == '\n' {
			offsets = append(offsets, i)
		}
	}
	return offsets
}

func (t *tomlFile) place(line int) place { return place{source: t.name, line: line} }

// keyValue adds the setting of a key below prefix, or those of an inline table.
func (t *tomlFile) keyValue(prefix string, n *unstable.Node, key string, line int) {
	key = prefix + key
	v := n.Value()
	if v.Kind == unstable.InlineTable {
		t.inlineTable(key, v, line)
		return
	}
	if v.Kind == unstable.Array && t.tablesIn(key, v, line) {
		return
	}
	t.settings = append(t.settings, setting{key, t.value(v), t.place(line), filepath.Dir(t.name)})
}

func (t *tomlFile) inlineTable(key string, table *unstable.Node, line int) {
	t.header(key, line)
	for children := table.Children(); children.Next(); {
		n := children.Node()
		name, line := t.key(n.Key())
		t.keyValue(key+".", n, name, line)
	}
}

// tablesIn adds an array of inline tables, which is another way to write
// [[certificate]].
func (t *tomlFile) tablesIn(key string, array *unstable.Node, line int) bool {
	found := false
	for i, elements := 0, array.Children(); elements.Next(); i++ {
		if elements.Node().Kind == unstable.InlineTable {
			t.inlineTable(element(key, i), elements.Node(), line)
			found = true
		}
	}
	return found
}

func (t *tomlFile) value(n *unstable.Node) value {
	switch n.Kind {
	case unstable.String:
		return textValue(string(n.Data))
	case unstable.Integer:
		if i, err := strconv.ParseInt(string(n.Data), 0, 64); err == nil { // parses 0x1F and 1_000 too
			return value{number: &i}
		}
	case unstable.Array:
		return t.list(n)
	}
	return value{literal: string(n.Data)}
}

func (t *tomlFile) list(array *unstable.Node) value {
	length := 0
	for elements := array.Children(); elements.Next(); {
		length++
	}
	v := value{list: make([]value, 0, length), lines: make([]int, 0, length)}
	for elements := array.Children(); elements.Next(); {
		n := elements.Node()
		line := 0
		if n.Raw.Length > 0 {
			line = t.line(n)
		}
		v.list, v.lines = append(v.list, t.value(n)), append(v.lines, line)
	}
	return v
}
