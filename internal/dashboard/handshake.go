package dashboard

import (
	"context"
	"errors"
	"html/template"
	"io/fs"
	"net/http"

	"postern/handshake"
	"postern/internal/failure"
	"postern/internal/jsonout"
	"postern/internal/ledger"
)

// handshake shows one handshake. Of a failed one it has the messages, the diagnosis, and what
// differs from one that the sender completed.
func (d *Dashboard) handshake(r *http.Request, book *ledger.Reader) (*view, error) {
	f, err := failureOf(r.Context(), book, r.PathValue("session"))
	if err != nil {
		return nil, err
	}
	page := struct {
		failure.Failure
		Failed  bool
		Account string

		Diagram, CompletedDiagram *diagram
	}{Failure: f, Failed: f.Outcome == ledger.Failed, Diagram: diagramOf("Messages", f.Messages),
		CompletedDiagram: diagramOf("Messages of the completed handshake", f.CompletedMessages)}
	if page.Failed && !f.Scanner() {
		page.Account = f.Account(d.Hostname)
	}
	return &view{Template: "handshake", Title: "Handshake " + f.Session, Data: page, JSON: jsonout.NewHandshake(f.Handshake)}, nil
}

// A diagram is a transcript to look at, and to read.
type diagram struct {
	Name  string
	Image template.HTML // made by DiagramSVG, which escapes what is the sender's
	Text  string
}

// diagramOf returns the diagram of a transcript, nil if there is none.
func diagramOf(name string, t *handshake.Transcript) *diagram {
	if t == nil {
		return nil
	}
	return &diagram{name, template.HTML(t.DiagramSVG()), t.Diagram(handshake.DiagramOptions{})}
}

// account is the text for the sender's postmaster, as a file.
func (d *Dashboard) account(r *http.Request, book *ledger.Reader) (*view, error) {
	f, err := failureOf(r.Context(), book, r.PathValue("session"))
	if err != nil {
		return nil, err
	}
	if f.Outcome != ledger.Failed {
		return nil, &statusError{http.StatusNotFound, "This handshake did not fail."}
	}
	return &view{File: &file{"handshake-" + f.Session + ".txt", "text/plain; charset=utf-8", []byte(f.Account(d.Hostname))}}, nil
}

// transcript is the transcript as a file, in the format of docs/transcript-format.md.
func (d *Dashboard) transcript(r *http.Request, book *ledger.Reader) (*view, error) {
	f, err := failureOf(r.Context(), book, r.PathValue("session"))
	if err != nil {
		return nil, err
	}
	if f.Messages == nil {
		return nil, &statusError{http.StatusNotFound, "The messages of this handshake are not stored."}
	}
	return &view{File: &file{"handshake-" + f.Session + ".json", "application/json", f.Transcript}}, nil
}

// failureOf returns the handshake of a session, and if it failed what is known around it.
func failureOf(ctx context.Context, book *ledger.Reader, session string) (f failure.Failure, err error) {
	h, err := book.Handshake(ctx, session)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, &statusError{http.StatusNotFound, "There is no handshake of this session. It may be older than the ledger keeps."}
	case err != nil:
		return f, err
	}
	return failure.Load(ctx, book, h)
}
