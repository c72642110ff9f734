package handshake

import (
	"fmt"
	"strings"
)

// The ladder's columns: time, bracket, lane, span, lane, bracket, size.
const (
	timeWidth = 9
	sizeWidth = 8
	span      = columns - timeWidth - sizeWidth - len(" [ || ]")
	maxLabel  = span - len("-- ") - len(" ->")
)

func (t *Transcript) ladder() []string {
	title := "client" + pad("server", " ", len("client")-span-len("||"))
	lines := []string{
		fmt.Sprintf("%*s   %s%*s", timeWidth, "time", title, 2+sizeWidth, "bytes"),
		rung{lanes: bare}.String(),
	}
	add := func(r rung) { lines = append(lines, r.String()) }
	complete := t.complete()
	for i := range t.Messages {
		add(t.rung(i))
		if i == complete {
			add(t.between(i, "✓ handshake complete"))
		}
	}
	if t.Omitted > 0 {
		add(rung{lanes: bare, span: centred(fmt.Sprintf("… %d more messages, not kept …", t.Omitted))})
	}
	for _, r := range t.end() {
		add(r)
	}
	return append(lines, t.legend()...)
}

// complete is the index of the Finished that made the handshake complete; -1 if none did.
func (t *Transcript) complete() int {
	if !t.Completed {
		return -1
	}
	for i := len(t.Messages) - 1; i >= 0; i-- {
		if t.Messages[i].Type == Finished {
			return i
		}
	}
	return -1
}

// end marks the place where it ended, if badly, on the lane of who ended it.
func (t *Transcript) end() []rung {
	if !t.failed() {
		return nil
	}
	lines := wrap(t.Ending(), span-len("  "))
	rungs := make([]rung, len(lines))
	for i, line := range lines {
		rungs[i] = rung{lanes: bare, span: " " + line}
		switch t.End.By {
		case Server:
			rungs[i].span = pad(line+" ", " ", -span)
		case Nobody:
			rungs[i].span = centred(line)
		}
	}
	if t.End.By != Server {
		rungs[0].lanes[0] = "✗"
	}
	if t.End.By != Client {
		rungs[0].lanes[1] = "✗"
	}
	return rungs
}

// legend explains the signs that the ladder has used.
func (t *Transcript) legend() []string {
	var signs []string
	var encrypted, inferred, shared bool
	for i, m := range t.Messages {
		encrypted, inferred = encrypted || m.Encrypted, inferred || m.Inferred
		shared = shared || t.together(i, i+1)
	}
	if shared {
		signs = append(signs, "┐┘ sent in one write")
	}
	switch {
	case inferred:
		signs = append(signs, "┄┄ encrypted, named by order and size")
	case encrypted:
		signs = append(signs, "┄┄ encrypted")
	}
	if len(signs) == 0 {
		return nil
	}
	return []string{"", strings.Repeat(" ", timeWidth+3) + strings.Join(signs, "   ")}
}
