package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A change replaces a span of a source file by other text.
type change struct {
	path     string // of the file
	function string // that has the span; empty outside of functions
	line     int    // on which the span begins
	edit
	source []byte // the unchanged file
	host   *host  // nil if the change can't be built together with others
}

// An edit replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// in returns a file with the edit.
func (e edit) in(source []byte) []byte {
	return slices.Concat(source[:e.start], []byte(e.text), source[e.end:])
}

// apply returns the changed file.
func (c change) apply() []byte { return c.in(c.source) }

// before is the line on which the span begins, as it is; after is what the change makes
// of it. Where the change leaves nothing of the line, after is "dropped".
func (c change) before() string { return lineAt(c.source, c.start) }

func (c change) after() string {
	if line := lineAt(c.apply(), c.start); line != "" {
		return line
	}
	return "dropped"
}

func lineAt(source []byte, offset int) string {
	text := string(source)
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return strings.TrimSpace(line)
}

// changesOf returns every change that the package knows how to make to a file.
func changesOf(path string) ([]change, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := finder{path: path, source: source, files: files}
	ast.Inspect(file, f.visit)
	return f.found, nil
}

// A finder collects the changes of one file.
type finder struct {
	path   string
	source []byte
	files  *token.FileSet
	found  []change

	function *ast.FuncDecl // the last one that was entered
	host     *host         // the same
}

func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec, *ast.Field: // a field's type and tag; parameters
		return false
	case *ast.CallExpr:
		return !isErrorText(n) && !isLog(n)
	case *ast.FuncDecl:
		f.function = n
		f.enterFunction(n.Recv, n.Type, n.Body)
		f.returnEarly(n.Type, n.Body)
	case *ast.FuncLit:
		f.enterFunction(nil, n.Type, n.Body)
		f.returnEarly(n.Type, n.Body)
	case *ast.UnaryExpr:
		if literal, ok := n.X.(*ast.CompositeLit); ok {
			f.enterValue(n, literal.Type, n.Op.String())
		}
	case *ast.CompositeLit:
		f.enterValue(n, n.Type, "")
	case *ast.BlockStmt:
		f.dropStatements(n.List)
	case *ast.CaseClause:
		f.dropStatements(n.Body)
	case *ast.CommClause:
		f.dropStatements(n.Body)
	case *ast.SwitchStmt:
		f.dropCases(n.Body)
	case *ast.IfStmt:
		f.condition(n.Cond)
		f.replace(n.Cond, "("+f.textOf(n.Cond)+") && false")
	case *ast.ForStmt:
		if n.Cond != nil {
			f.condition(n.Cond)
		}
	case *ast.BinaryExpr:
		f.operator(n.OpPos, n.Op)
	case *ast.AssignStmt:
		f.operator(n.TokPos, n.Tok)
	case *ast.IncDecStmt:
		f.operator(n.TokPos, n.Tok)
	case *ast.ReturnStmt:
		f.returnNoError(n)
		if f.returnsError(n) {
			ast.Inspect(n.Results[len(n.Results)-1], f.visit)
			return false
		}
	case *ast.BasicLit:
		f.constant(n)
	case *ast.Ident:
		switch n.Name {
		case "true":
			f.replace(n, "false")
		case "false":
			f.replace(n, "true")
		}
	}
	return true
}

// isErrorText reports whether a call makes an error or panics: the words of errors are
// for people to read, and tests that compare them all would only repeat them.
func isErrorText(call *ast.CallExpr) bool {
	switch callee := call.Fun.(type) {
	case *ast.Ident:
		return callee.Name == "panic"
	case *ast.SelectorExpr:
		pkg, ok := callee.X.(*ast.Ident)
		return ok && (pkg.Name == "errors" && callee.Sel.Name == "New" || pkg.Name == "fmt" && callee.Sel.Name == "Errorf")
	}
	return false
}

// isLog reports whether a call writes to a log. Its words are in docs/logs.md, which a test
// compares with the source files, not with what is built.
func isLog(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	return ok && len(call.Args) > 0 && slices.Contains([]string{"Debug", "Info", "Warn", "Error", "LogAttrs"}, method.Sel.Name)
}

// operators maps each operator to the one that replaces it.
var operators = map[token.Token]token.Token{
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LSS: token.LEQ, token.LEQ: token.LSS,
	token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD,
	token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
	token.AND: token.OR, token.OR: token.AND, token.AND_NOT: token.AND,
	token.SHL: token.SHR, token.SHR: token.SHL,
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.OR_ASSIGN: token.AND_ASSIGN, token.AND_ASSIGN: token.OR_ASSIGN,
	token.INC: token.DEC, token.DEC: token.INC,
}

func (f *finder) operator(at token.Pos, op token.Token) {
	if other, ok := operators[op]; ok {
		f.add(at, at+token.Pos(len(op.String())), other.String())
	}
}

// condition negates a condition, unless the change of its operator does so already.
func (f *finder) condition(cond ast.Expr) {
	if binary, ok := cond.(*ast.BinaryExpr); ok && (binary.Op == token.EQL || binary.Op == token.NEQ) {
		return
	}
	f.replace(cond, "!("+f.textOf(cond)+")")
}

// dropStatements removes each statement that only has an effect. Others declare names,
// without which the rest doesn't compile, or have a change of their own.
func (f *finder) dropStatements(list []ast.Stmt) {
	for _, stmt := range list {
		switch stmt := stmt.(type) {
		case *ast.AssignStmt:
			if stmt.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt:
			if call, ok := stmt.X.(*ast.CallExpr); ok && isErrorText(call) {
				continue
			}
		case *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt, *ast.BranchStmt:
		default:
			continue
		}
		f.replace(stmt, "")
	}
}

func (f *finder) dropCases(body *ast.BlockStmt) {
	for _, clause := range body.List {
		f.replace(clause, "")
	}
}

// returnEarly lets a function return its results' zero values at once.
func (f *finder) returnEarly(function *ast.FuncType, body *ast.BlockStmt) {
	if body == nil || len(body.List) == 0 {
		return
	}
	var zeros []string
	if function.Results != nil {
		for _, result := range function.Results.List {
			for range max(1, len(result.Names)) {
				zeros = append(zeros, "*new("+f.textOf(result.Type)+")")
			}
		}
	}
	f.add(body.Lbrace+1, body.Lbrace+1, " return "+strings.Join(zeros, ", ")+";")
}

// returnsError reports whether a statement returns an error, beside which no other result
// means anything.
func (f *finder) returnsError(stmt *ast.ReturnStmt) bool {
	if len(stmt.Results) < 2 || f.function == nil || f.function.Type.Results == nil {
		return false
	}
	types := f.function.Type.Results.List
	last, ok := types[len(types)-1].Type.(*ast.Ident)
	return ok && last.Name == "error" && f.textOf(stmt.Results[len(stmt.Results)-1]) != "nil"
}

// returnNoError returns nil in place of err.
func (f *finder) returnNoError(stmt *ast.ReturnStmt) {
	if len(stmt.Results) == 0 {
		return
	}
	if last, ok := stmt.Results[len(stmt.Results)-1].(*ast.Ident); ok && last.Name == "err" {
		f.replace(last, "nil")
	}
}

func (f *finder) constant(literal *ast.BasicLit) {
	switch literal.Kind {
	case token.INT:
		if n, err := strconv.ParseUint(literal.Value, 0, 63); err == nil {
			f.replace(literal, strconv.FormatUint(n+1, 10))
		}
	case token.CHAR:
		if r, _, _, err := strconv.UnquoteChar(literal.Value[1:], '\''); err == nil {
			f.replace(literal, strconv.QuoteRune(r+1))
		}
	case token.STRING:
		f.replace(literal, `"?"`)
	}
}

func (f *finder) textOf(n ast.Node) string {
	return string(f.source[f.offset(n.Pos()):f.offset(n.End())])
}

func (f *finder) offset(pos token.Pos) int { return f.files.Position(pos).Offset }

func (f *finder) replace(n ast.Node, text string) { f.add(n.Pos(), n.End(), text) }

func (f *finder) add(pos, end token.Pos, text string) {
	c := change{
		path: f.path, line: f.files.Position(pos).Line,
		edit: edit{f.offset(pos), f.offset(end), text}, source: f.source,
	}
	if f.function != nil && pos < f.function.End() {
		c.function = f.function.Name.Name
	}
	if f.isHosted(pos) && !f.host.alone {
		c.host = f.host
	}
	f.found = append(f.found, c)
}
