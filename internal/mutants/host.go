package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// A host is a function, or a composite literal outside of functions, that can have a copy
// of itself for each change to it, all in one program: where the change of a copy is the
// chosen one, the copy is evaluated in place of the original. So many changes need one
// build (mutant schemata: Untch, Offutt, Harrold 1993).
//
//	func f(n int) error {
//		if chosenMutant == 1 { return func(n int) error { ... }(n) }
//		if chosenMutant == 2 { return func(n int) error { ... }(n) }
//		...
//	}
type host struct {
	start, end  int    // what is copied
	head, tail  string // around a copy
	at          int    // where the copies go
	open, close string // around all copies
	around      []edit // of the original, besides
	alone       bool   // a copy would not mean the same
}

// isHosted reports whether the position is in the last host that was entered.
func (f *finder) isHosted(pos token.Pos) bool {
	return f.host != nil && f.offset(pos) < f.host.end
}

func (f *finder) enterFunction(receiver *ast.FieldList, function *ast.FuncType, body *ast.BlockStmt) {
	if body == nil || f.isHosted(body.Pos()) {
		return
	}
	f.host = &host{start: f.offset(body.Lbrace), end: f.offset(body.End()), at: f.offset(body.Lbrace) + 1}
	var arguments []string
	for _, field := range function.Params.List {
		name := func() string { return fmt.Sprintf("mutantParam%d", len(arguments)) }
		if len(field.Names) == 0 {
			at := f.offset(field.Pos())
			f.host.around = append(f.host.around, edit{at, at, name() + " "})
			arguments = append(arguments, name())
		}
		for _, ident := range field.Names {
			if ident.Name == "_" {
				f.host.around = append(f.host.around, edit{f.offset(ident.Pos()), f.offset(ident.End()), name()})
				arguments = append(arguments, name())
			} else {
				arguments = append(arguments, ident.Name)
			}
		}
		if _, ok := field.Type.(*ast.Ellipsis); ok {
			arguments[len(arguments)-1] += "..."
		}
	}
	results := ""
	if function.Results != nil {
		results = f.textOf(function.Results)
	}
	f.host.head = "func" + f.textOf(function.Params) + " " + results
	f.host.tail = "(" + strings.Join(arguments, ", ") + ")"
	if results == "" {
		f.host.tail += "; return"
	} else {
		f.host.head = "return " + f.host.head
	}
	f.host.alone = shadowsOwnType(receiver, function)
}

// shadowsOwnType reports whether a parameter or result has the name of a type or package in
// the function's signature, which then means something else in the function's body.
func shadowsOwnType(receiver *ast.FieldList, function *ast.FuncType) bool {
	declared, used := make(map[string]bool), make(map[string]bool)
	for _, list := range []*ast.FieldList{receiver, function.Params, function.Results} {
		if list == nil {
			continue
		}
		for _, field := range list.List {
			for _, ident := range field.Names {
				declared[ident.Name] = true
			}
			if list == receiver {
				continue
			}
			ast.Inspect(field.Type, func(n ast.Node) bool {
				if ident, ok := n.(*ast.Ident); ok {
					used[ident.Name] = true
				}
				return true
			})
		}
	}
	return slices.ContainsFunc(slices.Collect(maps.Keys(declared)), func(name string) bool { return used[name] })
}

// enterValue enters a composite literal, or its address.
func (f *finder) enterValue(value ast.Expr, literalType ast.Expr, address string) {
	if literalType == nil || f.isHosted(value.Pos()) {
		return
	}
	if array, ok := literalType.(*ast.ArrayType); ok {
		if _, counted := array.Len.(*ast.Ellipsis); counted {
			return
		}
	}
	resultType := strings.Replace(address, "&", "*", 1) + f.textOf(literalType)
	start, end := f.offset(value.Pos()), f.offset(value.End())
	f.host = &host{
		start: start, end: end, head: "return ", at: start,
		open: "func() " + resultType + " {", close: "return ", around: []edit{{end, end, "}()"}},
	}
}

// copyWith returns a copy of the host with a change. Errors of the compiler in it are at a
// line of the file mutantN.
func (h *host) copyWith(c change, number int) string {
	changed := string(c.source[h.start:c.start]) + c.text + string(c.source[c.end:h.end])
	return fmt.Sprintf("/*line mutant%d:1*/if chosenMutant == %d { %s%s%s }\n", number, number, h.head, changed, h.tail)
}

// together returns the files that have the changes, each with copies of the hosts for
// every change. A change's number is its key.
func together(changes map[int]change) map[string][]byte {
	copies := make(map[*host]string)
	hosts := make(map[string][]*host) // in each file
	sources := make(map[string][]byte)
	for _, number := range slices.Sorted(maps.Keys(changes)) {
		c := changes[number]
		if copies[c.host] == "" {
			hosts[c.path] = append(hosts[c.path], c.host)
			sources[c.path] = c.source
		}
		copies[c.host] += c.host.copyWith(c, number)
	}
	files := make(map[string][]byte)
	for path, source := range sources {
		var edits []edit
		for _, h := range hosts[path] {
			line := 1 + strings.Count(string(source[:h.at]), "\n")
			original := fmt.Sprintf("/*line %s:%d*/", filepath.Base(path), line)
			edits = append(edits, edit{h.at, h.at, h.open + copies[h] + original + h.close})
			edits = append(edits, h.around...)
		}
		slices.SortFunc(edits, func(a, b edit) int { return b.start - a.start })
		for _, e := range edits {
			source = e.in(source)
		}
		files[path] = source
	}
	return files
}
