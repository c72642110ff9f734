package handshake

import (
	"bytes"
	"sync"
	"time"
)

// A recording is a recorder that both directions feed.
type recording struct {
	mu   sync.Mutex
	r    *Recorder
	tape *tape // nil without keys
}

func (rec *recording) passed(from Side, b []byte, end End) {
	now := time.Now()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(b) > 0 {
		rec.r.Feed(from, b, now)
	}
	if end.How != Open {
		rec.r.End(end)
	}
	if rec.tape != nil {
		b = bytes.Clone(b)
		rec.tape.add(len(b), func(r *Recorder) {
			r.Feed(from, b, now)
			if end.How != Open {
				r.End(end)
			}
		})
	}
}

// tell tells the recorder an event, unless nothing is recorded.
func (c *Conn) tell(event func(*Recorder)) {
	if rec := c.recording.Load(); rec != nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		event(rec.r)
		if rec.tape != nil {
			rec.tape.add(0, event)
		}
	}
}
