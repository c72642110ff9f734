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

// A load is senders that deliver messages one after another, ten on a connection, over
// STARTTLS with resumption, and record each one that is acknowledged.
type load struct {
	addr    string
	size    int // of a message's text
	senders sync.WaitGroup
	ending  atomic.Bool // from now on connections may be rejected
	killing atomic.Bool // and closed within a message

	failing  atomic.Bool  // messages may be deferred
	deferred atomic.Int64 // how many were

	mu    sync.Mutex
	acked []string
	wrong []error        // unexpected errors of senders
	first sync.WaitGroup // done when each sender has an acknowledgment
}

// messagesPerConnection is the number of messages that a sender delivers before QUIT.
const messagesPerConnection = 10

// startLoad starts senders whose messages have ids that begin with name.
func startLoad(addr, name string, senders, size int) *load {
	l := &load{addr: addr, size: size}
	l.first.Add(senders)
	for i := range senders {
		l.senders.Go(func() { l.send(fmt.Sprintf("%s-%d", name, i)) })
	}
	return l
}

// send delivers until the load ends or an unexpected error occurs.
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

// expected reports whether err is a consequence of end or kill.
func (l *load) expected(err error) bool {
	return l.killing.Load() || l.ending.Load() && !errors.Is(err, testsmtp.ErrCutOff)
}

func (l *load) deliver(c *testsmtp.Client, name string, delivered func(id string)) error {
	for i := range messagesPerConnection {
		id := fmt.Sprintf("%s-%d", name, i)
		reply, err := c.Deliver(newMessage(id, l.size))
		if err != nil {
			return err
		}
		if reply.Code == 451 && l.failing.Load() {
			l.deferred.Add(1)
			continue
		}
		if reply.Code != 250 {
			return fmt.Errorf("message %s: %s", id, reply)
		}
		delivered(id)
	}
	return c.Expect("QUIT\r\n", 221)
}

// awaitFirst waits until every sender has had a message acknowledged, or failed.
func (l *load) awaitFirst() { l.first.Wait() }

// end makes senders stop after the current connection. From now on connections may be
// rejected, but not closed within a message.
func (l *load) end() { l.ending.Store(true) }

// kill is like end, but connections may be closed anywhere.
func (l *load) kill() {
	l.killing.Store(true)
	l.end()
}

// wait ends the load, waits for the senders, and returns the ids of all acknowledged
// messages.
func (l *load) wait(t *testing.T) []string {
	t.Helper()
	l.end()
	l.senders.Wait()
	for _, err := range l.wrong {
		t.Errorf("a sender under load: %v", err)
	}
	return l.acked
}

// checkStored checks that every acknowledged message is stored, and that all stored ones
// are whole. It returns the number of messages stored without acknowledgment.
func checkStored(t *testing.T, acked []string, messages []stored) int {
	t.Helper()
	var found []string
	for _, message := range messages {
		id, err := message.whole()
		if err != nil {
			t.Error(err)
		}
		found = append(found, id)
	}
	slices.Sort(found)
	for _, id := range acked {
		if _, ok := slices.BinarySearch(found, id); !ok {
			t.Errorf("message %s was acknowledged and is not stored", id)
		}
	}
	if twice := len(found) - len(slices.Compact(slices.Clone(found))); twice > 0 {
		t.Errorf("%d messages are stored more than once", twice)
	}
	return len(found) - len(acked)
}
