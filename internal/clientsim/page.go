package clientsim

import (
	_ "embed"
	"html/template"
	"io"
	"time"

	"postern/handshake"
)

//go:embed page.html
var pageText string

// pageTemplate escapes everything for its context.
var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"column":  Column,
	"date":    func(t time.Time) string { return t.UTC().Format("2 January 2006 MST") },
	"diagram": func(t *handshake.Transcript) string { return t.Diagram(handshake.DiagramOptions{Location: time.UTC}) },
}).Parse(pageText))

// WriteHTML writes m as one page without external resources and scripts. Each cell opens the
// diagrams of its handshakes. The error is that of w.
func (m *Matrix) WriteHTML(w io.Writer) error { return pageTemplate.Execute(w, m) }
