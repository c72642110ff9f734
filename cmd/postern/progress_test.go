package main

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

// pass lets time pass, and what was to happen by then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestShortWorkShowsNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		p := beginProgress(&screen)
		p.Say("half")
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
		p := beginProgress(&screen)
		p.Say("1 %")
		p.Say("2 %") // the last word counts
		pass(progressAfter)
		p.Say("3 %")
		p.Say("4 %\x1b" + strings.Repeat("x", 100))
		pass(progressEvery)
		pass(progressEvery) // nothing new
		p.Done()
		want := eraseLine + "2 %" + eraseLine + "4 %\ufffd" + strings.Repeat("x", columns-6) + "…" + eraseLine
		if got := screen.String(); got != want {
			t.Errorf("shown\n%q, want\n%q", got, want)
		}
	})
}

func TestProgressMakesWayForOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		p := beginProgress(&screen)
		out := p.Above(&screen)
		p.Say("half")
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

func TestProgressIsForTerminals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := newProgress(file)
	p.Say("half")
	p.Done()
	if p.stop != nil {
		t.Error("a file is taken for a terminal")
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	p = newProgress(terminal)
	p.Done()
	if p.stop == nil {
		t.Error("a terminal is not taken for one")
	}
}
