package test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"postern/internal/testsmtp"
)

// A load is senders that deliver letters one after another, ten a connection,
// over STARTTLS with resumption, and note each one that was acknowledged.
type load struct {
	addr    string
	size    int // of a letter's text
	senders sync.WaitGroup
	ending  atomic.Bool // from now on senders may be turned away
	killing atomic.Bool // and cut off within a message

	mu    sync.Mutex
	acked []string
	wrong []error        // what should not have happened to senders
	first sync.WaitGroup // for an acknowledgment of each sender
}

// lettersPerConnection is how many letters a sender brings before it says QUIT.
const lettersPerConnection = 10

// startLoad starts senders whose letters have ids that begin with name.
func startLoad(addr, name string, senders, size int) *load {
	l := &load{addr: addr, size: size}
	l.first.Add(senders)
	for i := range senders {
		l.senders.Go(func() { l.send(fmt.Sprintf("%s-%d", name, i)) })
	}
	return l
}

// send delivers until the load ends or something goes wrong.
func (l *load) send(name string) {
	var once sync.Once
	delivered := func(id string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.acked = append(l.acked, id)
		once.Do(l.first.Done)
	}
	defer once.Do(l.first.Done)
	config := testsmtp.OpportunisticTLS()
	for i := 0; !l.ending.Load(); i++ {
		c, err := testsmtp.DialTLS(l.addr, "", config)
		if err == nil {
			err = l.deliver(c, fmt.Sprintf("%s-%d", name, i), delivered)
			c.Close()
		}
		if err != nil && !l.expected(err) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.wrong = append(l.wrong, err)
			return
		}
	}
}

// expected reports whether a sender's trouble is that of the story.
func (l *load) expected(err error) bool {
	return l.killing.Load() || l.ending.Load() && !errors.Is(err, testsmtp.ErrCutOff)
}

func (l *load) deliver(c *testsmtp.Client, name string, delivered func(id string)) error {
	for i := range lettersPerConnection {
		id := fmt.Sprintf("%s-%d", name, i)
		reply, err := c.Deliver(newLetter(id, l.size))
		if err != nil {
			return err
		}
		if reply.Code != 250 {
			return fmt.Errorf("letter %s: %s", id, reply)
		}
		delivered(id)
	}
	return c.Expect("QUIT\r\n", 221)
}

// awaitFirst waits until every sender has had a letter acknowledged, or failed.
func (l *load) awaitFirst() { l.first.Wait() }

// end says that senders stop after the connection at hand, and that they may be
// turned away from now on, but not within a message.
func (l *load) end() { l.ending.Store(true) }

// kill is end, and that senders may be cut off anywhere.
func (l *load) kill() {
	l.killing.Store(true)
	l.end()
}

// wait ends the load, waits for the senders, and returns the ids of all
// letters that were acknowledged.
func (l *load) wait(t *testing.T) []string {
	t.Helper()
	l.end()
	l.senders.Wait()
	for _, err := range l.wrong {
		t.Errorf("a sender under load: %v", err)
	}
	return l.acked
}

// balance checks the books: every letter acknowledged is there, and all
// that is there is whole. It returns how many were there unacknowledged.
func balance(t *testing.T, acked []string, messages []stored) int {
	t.Helper()
	var there []string
	for _, message := range messages {
		id, err := message.whole()
		if err != nil {
			t.Error(err)
		}
		there = append(there, id)
	}
	slices.Sort(there)
	for _, id := range acked {
		if _, found := slices.BinarySearch(there, id); !found {
			t.Errorf("letter %s was acknowledged and is not there", id)
		}
	}
	if twice := len(there) - len(slices.Compact(slices.Clone(there))); twice > 0 {
		t.Errorf("%d letters are there more than once", twice)
	}
	return len(there) - len(acked)
}
