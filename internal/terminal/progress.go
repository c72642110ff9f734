package terminal

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"postern/internal/safetext"
)

const (
	progressAfter = time.Second // shorter work shows none
	progressEvery = time.Second / 5

	eraseLine = "\r\x1b[K" // ECMA-48, Section 8.3.41: erase in line
)

// A Progress is a line on a terminal that shows how far long work has come. It appears
// after a second and is erased at the end. It is safe for concurrent use.
type Progress struct {
	stop    chan struct{} // nil: show nothing
	stopped sync.WaitGroup

	mu    sync.Mutex
	w     io.Writer
	text  string
	shown string // what the line shows; empty: it is erased
	open  bool   // the output above is in the middle of a line
}

// NewProgress starts a progress line on w, if that is a terminal; otherwise it writes
// nothing. The caller must call Done.
func NewProgress(w io.Writer) *Progress {
	if file, ok := w.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		return StartProgress(w)
	}
	return &Progress{}
}

// StartProgress starts a progress line on w, which is a terminal or a test's buffer.
func StartProgress(w io.Writer) *Progress {
	p := &Progress{w: w, stop: make(chan struct{})}
	p.stopped.Go(p.run)
	return p
}

// Set changes the text of the line. It returns at once.
func (p *Progress) Set(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = safetext.Shorten(text, Columns-1) // a terminal may wrap after the last column
}

// Done erases the line for good.
func (p *Progress) Done() {
	if p.stop == nil {
		return
	}
	close(p.stop)
	p.stopped.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}

// Above returns a writer to out, which may be the same terminal: the line is erased before
// each write and drawn again below it.
func (p *Progress) Above(out io.Writer) io.Writer { return above{p, out} }

func (p *Progress) run() {
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

func (p *Progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text != p.shown && !p.open {
		io.WriteString(p.w, eraseLine+p.text)
		p.shown = p.text
	}
}

func (p *Progress) erase() {
	if p.shown != "" {
		io.WriteString(p.w, eraseLine)
		p.shown = ""
	}
}

// Above returns u with both outputs above a progress line.
func (u UI) Above(p *Progress) UI {
	u.Out, u.Err = p.Above(u.Out), p.Above(u.Err)
	return u
}

type above struct {
	p   *Progress
	out io.Writer
}

func (a above) Write(text []byte) (int, error) {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	a.p.erase()
	a.p.open = !bytes.HasSuffix(text, []byte("\n"))
	return a.out.Write(text)
}
