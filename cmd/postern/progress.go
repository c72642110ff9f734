package main

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"

	"postern/internal/safetext"

	"github.com/mattn/go-isatty"
)

// How a progress shows itself.
const (
	progressAfter = time.Second // work that is over by then shows none
	progressEvery = time.Second / 5

	eraseLine = "\r\x1b[K" // ECMA-48, Section 8.3.41: erase in line
)

// A progress is a line on a terminal that tells how far long work has come. It is
// shown when a second has passed, and is gone at the end. Where it does not go to a
// terminal nothing is written. It is safe for concurrent use.
type progress struct {
	stop    chan struct{} // nil: nothing is shown
	stopped sync.WaitGroup

	mu    sync.Mutex
	w     io.Writer
	text  string
	shown string // what the line holds; empty if nothing
	open  bool   // a line of the output below has no end yet
}

// newProgress begins one on w. Done must be called.
func newProgress(w io.Writer) *progress {
	if file, ok := w.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		return beginProgress(w)
	}
	return &progress{}
}

func beginProgress(w io.Writer) *progress {
	p := &progress{w: w, stop: make(chan struct{})}
	p.stopped.Go(p.run)
	return p
}

// Say sets what the line says, in place of what it said. It returns at once.
func (p *progress) Say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = safetext.Shorten(text, columns-1) // a terminal may go to the next line after the last column
}

// Done takes the line away for good.
func (p *progress) Done() {
	if p.stop == nil {
		return
	}
	close(p.stop)
	p.stopped.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}

// Above returns a writer to out, which may be the same terminal: the line makes way for
// what is written there, and comes back below it.
func (p *progress) Above(out io.Writer) io.Writer { return above{p, out} }

func (p *progress) run() {
	wait := time.NewTimer(progressAfter)
	defer wait.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-wait.C:
			p.draw()
			wait.Reset(progressEvery)
		}
	}
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text != p.shown && !p.open {
		io.WriteString(p.w, eraseLine+p.text)
		p.shown = p.text
	}
}

func (p *progress) erase() {
	if p.shown != "" {
		io.WriteString(p.w, eraseLine)
		p.shown = ""
	}
}

type above struct {
	p   *progress
	out io.Writer
}

func (a above) Write(text []byte) (int, error) {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	a.p.erase()
	a.p.open = !bytes.HasSuffix(text, []byte("\n"))
	return a.out.Write(text)
}
