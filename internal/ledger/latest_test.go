package ledger

import (
	"path/filepath"
	"sync"
	"testing"

	"postern/internal/fallback"
)

func TestEachChangeMakesANewMark(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := opened(t, path, Options{})
	r := reader(t, path)
	last, err := r.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Latest(t.Context()); err != nil || again != last {
		t.Errorf("%v, then %v without a change; %v", last, again, err)
	}
	changed := func(what string) {
		t.Helper()
		until(t, what, func() bool {
			now, err := r.Latest(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if now == last || now.String() == last.String() {
				return false
			}
			last = now
			return true
		})
	}
	l.AddHandshake(success("A"))
	changed("a handshake")
	failed := last.Failed
	l.AddHandshake(failure("B"))
	changed("a failed handshake")
	if last.Failed == failed {
		t.Error("a failed handshake is no newer one")
	}
	l.Revise(Revision{Session: "B", Why: "another"})
	changed("a revision")
	l.AddRefusal(refusal(noon, "192.0.2.0/24", noMailbox))
	changed("a refusal")
	l.AddRefusal(refusal(noon, "192.0.2.0/24", noMailbox))
	changed("the same refusal")
	l.AddEvent(Event{At: noon, Kind: Reloaded})
	changed("an event")
	pin := fallback.Pin{Network: failure("").Network, Since: noon}
	if err := SetPin(t.Context(), path, pin); err != nil {
		t.Fatal(err)
	}
	changed("a pin of another process")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	changed("a reader that was closed: it may have missed one")
}

// Open pages ask for the mark at the same time.
func TestMarkIsTheSameForAllWhoAskAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	l := opened(t, path, Options{})
	r := reader(t, path)
	l.AddHandshake(failure("A"))
	until(t, "the handshake", func() bool {
		now, err := r.Latest(t.Context())
		return err == nil && now.Failed == 1
	})
	want, err := r.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 200 {
				if now, err := r.Latest(t.Context()); err != nil || now != want {
					t.Errorf("%v, %v; want %v", now, err, want)
					return
				}
			}
		})
	}
	all.Wait()
}
