package config

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Problem is one thing that is wrong.
type Problem struct {
	Where  string // "postern.toml:7: listen" or "--listen"
	What   string
	Remedy string
}

func (p Problem) Error() string { return p.Where + ": " + p.What }

// Problems is everything that is wrong, in the order of the file, then of the
// flags.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error() + " (" + problem.Remedy + ")"
	}
	return "config: " + strings.Join(lines, "; ")
}

// A place is where a setting stands.
type place struct {
	text  string // "postern.toml:7" or "--listen"
	order int
}

// A found problem, with the order of its place.
type found struct {
	Problem
	order int
}

// add notes a problem of the value at key, "listen" or "listen[1]".
func (l *loading) add(key, what, remedy string) {
	name, _, _ := strings.Cut(key, "[")
	if strings.Contains(key, "].") { // certificate[0].cert
		name = key
	}
	at, ok := l.places[key]
	if !ok {
		at, ok = l.places[name]
	}
	where := at.text + ": " + name
	switch {
	case !ok:
		where, at.order = name+" (by default)", math.MaxInt
	case strings.HasPrefix(at.text, "--"):
		where = at.text
	}
	l.problems = append(l.problems, found{Problem{where, what, remedy}, at.order})
}

func (l *loading) inOrder() Problems {
	slices.SortStableFunc(l.problems, func(a, b found) int { return cmp.Compare(a.order, b.order) })
	problems := make(Problems, len(l.problems))
	for i, p := range l.problems {
		problems[i] = p.Problem
	}
	return problems
}
