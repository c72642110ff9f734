package fleet

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Each part of what is shared has a leader in NATS. When a server is lost they are elected one after the
// other, and a host fails now with this part, now with that. An operator reads one line each way.
func TestInterruptionIsOneLineEachWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := epoch
		f, log := member(t, "mx1", &clock)
		const lost, back = "fleet unreachable", "fleet connected"
		if log.Count(back) != 1 {
			t.Errorf("a host that shares for the first time does not say so at once:\n%s", log.String())
		}
		failed := errors.New("no leader")
		for _, part := range []string{partStates, partConnection, partPins} {
			f.note(part, failed)
			for _, each := range parts {
				f.note(each, nil)
			}
			if problem := f.Status().Problem; problem != "" {
				t.Errorf("it shares, and its problem is %q", problem)
			}
			for range steadyAfter/time.Second - 1 {
				time.Sleep(time.Second)
				f.note(partPublishing, nil)
			}
		}
		if log.Count(lost) != 1 || log.Count(back) != 1 {
			t.Errorf("while leaders are elected:\n%s", log.Take())
		}
		for range 30 {
			time.Sleep(time.Second)
			f.note(partPublishing, nil)
		}
		if log.Count(lost) != 1 || log.Count(back) != 2 {
			t.Errorf("in the end:\n%s", log.Take())
		}
		f.note(partStates, failed)
		if log.Count(lost) != 2 {
			t.Errorf("the next interruption has no line of its own:\n%s", log.Take())
		}
	})
}
