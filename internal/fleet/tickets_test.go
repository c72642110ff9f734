package fleet

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/testpeer"
)

// Who has an account at NATS and not the secret can overwrite the ring. A host that had read it puts it
// back, so that the next key is the same at all hosts.
func TestRingThatAStrangerOverwroteIsPutBack(t *testing.T) {
	t.Parallel()
	servers := testpeer.StartNATS(t, 1)
	a := newTestHost(t, "a", servers)
	js, _ := eventStream(t, servers[0])
	readable := func() error {
		kv, err := js.KeyValue(t.Context(), "test-tickets")
		if err != nil {
			return err
		}
		entry, err := kv.Get(t.Context(), ringName)
		if err != nil {
			return err
		}
		r, err := a.fleet.open(entry.Value())
		if err == nil && !r.is(a.fleet.current()) {
			err = fmt.Errorf("another ring: turn %d", r.Turn)
		}
		return err
	}
	await(t, readable)
	overwrite := func() {
		t.Helper()
		kv, err := js.KeyValue(t.Context(), "test-tickets")
		if err == nil {
			_, err = kv.Put(t.Context(), ringName, []byte("what no host has written"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	overwrite()
	await(t, readable)
	b := newTestHost(t, "b", servers)
	await(t, func() error {
		if got := b.fleet.current(); !got.is(a.fleet.current()) {
			return fmt.Errorf("b has another ring: turn %d", got.Turn)
		}
		return nil
	})
	b.stop()    // else that one would
	overwrite() // again: it does not write against a stranger as fast as it can
	await(t, func() error {
		if problem := a.fleet.Status().Problem; !strings.Contains(problem, "the stored ring was not written with this secret-file") {
			return fmt.Errorf("a's problem is %q", problem)
		}
		return nil
	})
}
