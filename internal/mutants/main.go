// Command mutants measures how well the tests of a package notice changes to its code. It
// makes small changes, one at a time: an operator, a constant, a condition, a statement
// left out, a function that returns at once. It runs the package's tests with each, and
// prints the share of changes that made a test fail, and those that no test noticed.
//
//	go run ./internal/mutants -n 40 ./sessionticket ./mtasts
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	n := flag.Int("n", 40, "changes to try in each package; 0 for all")
	seed := flag.Uint64("seed", 1, "chooses which")
	also := flag.String("also", "", "packages, with commas between, whose tests are run too when the package's own pass")
	list := flag.String("equivalents", "internal/mutants/equivalents.txt", "file with the changes that need not be noticed")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: mutants [flags] PACKAGE...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	equal, err := readEquivalents(*list)
	if err != nil {
		fail(err)
	}
	for _, pattern := range flag.Args() {
		score, err := tryPackage(os.Stdout, pattern, sample{*n, *seed}, packages(*also), equal)
		if err != nil {
			fail(err)
		}
		fmt.Printf("%s: %v\n", pattern, score)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "mutants:", err)
	os.Exit(1)
}

func packages(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// A sample says how many changes are tried and which: the same seed chooses the same ones
// of the same code. A size of 0 means all.
type sample struct {
	size int
	seed uint64
}

func (s sample) of(all []change) []change {
	rand.New(rand.NewPCG(s.seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// A score counts the changes of a package that compile.
type score struct{ noticed, survived, equivalent int }

func (s score) String() string {
	tried := s.noticed + s.survived
	text := fmt.Sprintf("%d of %d changes noticed", s.noticed, tried)
	if tried > 0 {
		text += fmt.Sprintf(", %.0f %%", 100*float64(s.noticed)/float64(tried))
	}
	if s.equivalent > 0 {
		text += fmt.Sprintf("; %d more need not be", s.equivalent)
	}
	return text
}

// builtTogether bounds how many changes are in one program, and so its size.
const builtTogether = 100

// tryPackage writes each survivor as it is found, in the form of the list of equivalents.
func tryPackage(w io.Writer, pattern string, chosen sample, also []string, equal equivalents) (s score, err error) {
	pkg, err := list(pattern)
	if err != nil {
		return s, err
	}
	var all []change
	for _, name := range pkg.GoFiles {
		found, err := changesOf(filepath.Join(pkg.Dir, name))
		if err != nil {
			return s, err
		}
		all = append(all, found...)
	}
	folder, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(folder)
	bench, err := newBench(pkg, also, folder)
	if err != nil {
		return s, err
	}
	left := chosen.of(all)
	for len(left) > 0 {
		want := builtTogether
		if chosen.size > 0 {
			want = min(want, chosen.size-s.noticed-s.survived)
		}
		if want == 0 {
			break
		}
		var changes []change
		for len(changes) < want+want/4 && len(left) > 0 { // not all compile
			c := left[0]
			left = left[1:]
			if _, ok := equal[equivalent{place(c), c.before(), c.after()}]; ok {
				s.equivalent++
				continue
			}
			changes = append(changes, c)
		}
		trials, err := bench.prepare(changes)
		if err != nil {
			return s, err
		}
		err = bench.try(trials[:min(want, len(trials))], func(c change, noticed bool) {
			if noticed {
				s.noticed++
			} else {
				s.survived++
				fmt.Fprintf(w, "line %d\n%s\n- %s\n+ %s\n\n", c.line, place(c), c.before(), c.after())
			}
		})
		if err := errors.Join(err, discard(trials)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// fromHere shortens a path to one from the working folder.
func fromHere(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(short)
}
