package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEachKindOfChange(t *testing.T) {
	for source, want := range map[string][]string{
		"func f() { g() }":           {"func f() { return ; g() }", "func f() {  }"},
		"func f(a int) { a = 0x10 }": {"func f(a int) { return ; a = 0x10 }", "func f(a int) {  }", "func f(a int) { a = 17 }"},
		"func f(a, b bool) bool { return a && !b }": {
			"func f(a, b bool) bool { return *new(bool); return a && !b }",
			"func f(a, b bool) bool { return a || !b }",
		},
		"func f() (n int, err error) { if n < len(s) { return 7, err }; return 1, nil }": {
			"func f() (n int, err error) { return *new(int), *new(error); if n < len(s) { return 7, err }; return 1, nil }",
			"func f() (n int, err error) { if !(n < len(s)) { return 7, err }; return 1, nil }",
			"func f() (n int, err error) { if (n < len(s)) && false { return 7, err }; return 1, nil }",
			"func f() (n int, err error) { if n <= len(s) { return 7, err }; return 1, nil }",
			"func f() (n int, err error) { if n < len(s) { return 7, nil }; return 1, nil }",
			"func f() (n int, err error) { if n < len(s) { return 7, err }; return 2, nil }",
		},
		"func f() { for i == 0 { i++; continue } }": {
			"func f() { return ; for i == 0 { i++; continue } }",
			"func f() { for i != 0 { i++; continue } }",
			"func f() { for i == 1 { i++; continue } }",
			"func f() { for i == 0 { ; continue } }",
			"func f() { for i == 0 { i++;  } }",
			"func f() { for i == 0 { i--; continue } }",
		},
		"func f() { switch { case true: panic(0) } }": {
			"func f() { return ; switch { case true: panic(0) } }",
			"func f() { switch {  } }",
			"func f() { switch { case false: panic(0) } }",
		},
		"var a, b = 'a', \"\\n\"":         {"var a, b = 'b', \"\\n\"", "var a, b = 'a', \"?\""},
		"var e = errors.New(\"no\")":      nil, // the words of errors are no promise
		"func f() { log.Info(\"done\") }": {"func f() { return ; log.Info(\"done\") }", "func f() {  }"},
		"type s struct { a [4]byte }":     nil,
	} {
		const header = "package p\n\n"
		path := filepath.Join(t.TempDir(), "p.go")
		if err := os.WriteFile(path, []byte(header+source), 0o600); err != nil {
			t.Fatal(err)
		}
		changes, err := changesOf(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range changes {
			got = append(got, strings.TrimPrefix(string(c.apply()), header))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s becomes\n%s\nwant\n%s", source, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A module with one function and a test that is blind to its limit: the score counts what
// the test notices, a loop without end included, and names what it doesn't.
func TestScoreOfAPackage(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"go.mod": "module example\n\ngo 1.26\n",
		"f.go":   "package example\n\nfunc f(n int) (sum int) {\n\tfor i := range n {\n\t\tsum += i\n\t}\n\tif sum > 100 {\n\t\treturn 100\n\t}\n\treturn sum\n}\n",
		"f_test.go": "package example\n\nimport \"testing\"\n\n" +
			"func TestF(t *testing.T) {\n\tif f(3) != 3 || f(1000) < 99 {\n\t\tt.Fail()\n\t}\n}\n",
		"equivalents.txt": "# Comment.\n\nf.go f\n- if sum > 100 {\n+ if sum >= 100 {\nThe same at 100.\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	equal, err := readEquivalents("equivalents.txt")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	score, err := tryPackage(&b, ".", sample{size: 0, seed: 1}, nil, equal)
	if err != nil {
		t.Fatal(err)
	}
	if got := score.String(); got != "3 of 6 changes noticed, 50 %; 1 more need not be" {
		t.Errorf("%s\n%s", got, b.String())
	}
	for _, survivor := range []string{
		"line 7\nf.go f\n- if sum > 100 {\n+ if (sum > 100) && false {\n",
		"line 7\nf.go f\n- if sum > 100 {\n+ if sum > 101 {\n",
		"line 8\nf.go f\n- return 100\n+ return 101\n",
	} {
		if !strings.Contains(b.String(), survivor) {
			t.Errorf("%s\nlacks\n%s", b.String(), survivor)
		}
	}
}

// One program has a copy of each of these for every change to it.
func TestChangesBuiltTogether(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"go.mod": "module example\n\ngo 1.26\n",
		"f.go": `package example

type list []int

func (l *list) sum(_ string, n ...int) (total int) {
	for _, i := range n {
		total += i + len(*l)
	}
	return total
}

func first[T any](all []T) T { return all[0] } // one line

func rest(list list) list { return list[1:] } // hides the type in its body

var ready int

func init() { ready++ }

var seven = func(int, string) int { return 7 }

var prices = map[string]int{"bread": 3}

var point = &struct{ x, y int }{y: 4}

const limit = 9
`,
		"f_test.go": `package example

import "testing"

func TestF(t *testing.T) {
	l := list{1, 2, 3}
	if l.sum("", 5, 6) != 17 || first(l) != 1 || rest(l)[0] != 2 || len(rest(l)) != 2 || ready != 1 ||
		seven(0, "") != 7 || prices["bread"] != 3 || point.y != 4 || limit != 9 {
		t.Fail()
	}
}
`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pkg, err := list(".")
	if err != nil {
		t.Fatal(err)
	}
	bench, err := newBench(pkg, nil, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	changes, err := changesOf(filepath.Join(pkg.Dir, "f.go"))
	if err != nil {
		t.Fatal(err)
	}
	trials, err := bench.prepare(changes)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	if err := bench.try(trials, func(c change, noticed bool) {
		if !noticed {
			t.Errorf("line %d: %s: not noticed", c.line, c.after())
		}
		if c.host != nil {
			got["together"]++
		} else {
			got["alone"]++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if got["together"] != 13 || got["alone"] != 3 {
		t.Errorf("%d changes built together and %d alone, want 13 and 3", got["together"], got["alone"])
	}
}

func TestEquivalentsNeedAReason(t *testing.T) {
	name := filepath.Join(t.TempDir(), "equivalents.txt")
	if err := os.WriteFile(name, []byte("f.go\n- a\n+ b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readEquivalents(name); err == nil {
		t.Error("accepted a change without a reason")
	}
	if _, err := readEquivalents("equivalents.txt"); err != nil {
		t.Error(err)
	}
}
