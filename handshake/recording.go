package handshake

import (
	"bytes"
	"sync"
	"time"
)

// A recording is a recorder that both directions feed.
//
// A write is noted with the time at which it began, once it is done, so that its cost
// falls into the time that the bytes take; or when something is read before that,
// which may be the answer.
type recording struct {
	mu   sync.Mutex
	r    *Recorder
	own  Side
	tape *tape // nil without keys

	pending []byte // being written, not yet noted
	began   time.Time
	stopped bool // the transcript is given away; a Read or Write may still be under way
}

func (rec *recording) writing(b []byte) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.flush()
	rec.pending, rec.began = b, time.Now()
}

// written notes what was written of the pending bytes, unless they were noted.
func (rec *recording) written(b []byte, end End) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(b) == 0 {
		rec.pending = nil
	} else if len(rec.pending) > 0 && &rec.pending[0] == &b[0] {
		rec.pending = b
		rec.flush()
	}
	rec.note(Nobody, nil, time.Time{}, end)
}

func (rec *recording) read(from Side, b []byte, end End) {
	now := time.Now()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.flush()
	rec.note(from, b, now, end)
}

func (rec *recording) flush() {
	rec.note(rec.own, rec.pending, rec.began, End{})
	rec.pending = nil
}

func (rec *recording) note(from Side, b []byte, at time.Time, end End) {
	if rec.stopped || len(b) == 0 && end.How == Open {
		return
	}
	if rec.tape == nil {
		rec.r.passed(from, b, at, end)
		return
	}
	b = bytes.Clone(b)
	rec.event(len(b), func(r *Recorder) { r.passed(from, b, at, end) })
}

func (rec *recording) event(size int, event func(*Recorder)) {
	if rec.stopped {
		return
	}
	event(rec.r)
	if rec.tape != nil {
		rec.tape.add(size, event)
	}
}

func (r *Recorder) passed(from Side, b []byte, at time.Time, end End) {
	r.Feed(from, b, at)
	if end.How != Open {
		r.End(end)
	}
}

// tell tells the recorder an event, unless nothing is recorded.
func (c *Conn) tell(event func(*Recorder)) {
	if rec := c.recording.Load(); rec != nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.flush()
		rec.event(0, event)
	}
}
