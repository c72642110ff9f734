package terminal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pass advances time and runs what is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestShortWorkShowsNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		p := StartProgress(&screen)
		p.Set("half")
		pass(progressAfter - time.Millisecond)
		p.Done()
		if screen.Len() > 0 {
			t.Errorf("shown: %q", screen.String())
		}
	})
}

func TestLongWorkShowsProgressUntilItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		p := StartProgress(&screen)
		p.Set("1 %")
		p.Set("2 %") // the last word counts
		pass(progressAfter)
		p.Set("3 %")
		p.Set("4 %\x1b" + strings.Repeat("x", 100))
		pass(progressEvery)
		pass(progressEvery) // nothing new
		p.Done()
		want := eraseLine + "2 %" + eraseLine + "4 %\ufffd" + strings.Repeat("x", Columns-6) + "…" + eraseLine
		if got := screen.String(); got != want {
			t.Errorf("shown\n%q, want\n%q", got, want)
		}
	})
}

func TestProgressIsDrawnBelowOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		p := StartProgress(&screen)
		out := p.Above(&screen)
		p.Set("half")
		pass(progressAfter)
		fmt.Fprint(out, "found: ")
		pass(progressEvery) // not into the line that is begun
		fmt.Fprintln(out, "one")
		pass(progressEvery)
		p.Done()
		want := eraseLine + "half" + eraseLine + "found: one\n" + eraseLine + "half" + eraseLine
		if got := screen.String(); got != want {
			t.Errorf("shown\n%q, want\n%q", got, want)
		}
	})
}

func TestProgressShowsOnTerminalsOnly(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := NewProgress(file)
	p.Set("half")
	p.Done()
	if p.stop != nil {
		t.Error("a file counts as a terminal")
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	p = NewProgress(terminal)
	p.Done()
	if p.stop == nil {
		t.Error("a terminal does not count as one")
	}
}
