package relay

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/nexthop"
)

// senderAt is a sender with an address.
func senderAt(addr string) nexthop.Sender {
	s := someSender
	s.Addr = netip.AddrPortFrom(netip.MustParseAddr(addr), 40001)
	return s
}

// One network begins 200 messages and then says nothing. A sender of another network
// delivers at once, and the 180 that are too many are deferred.
func TestOneNetworkLeavesConnectionsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		hop := b.hop("smtp://mail.test")
		var (
			idle    sync.WaitGroup
			mu      sync.Mutex
			replies = map[string]int{}
			held    []nexthop.Session
		)
		for n := range 200 {
			s := hop.Open(senderAt(fmt.Sprintf("192.0.2.%d", n)))
			held = append(held, s)
			idle.Go(func() {
				reply := s.Mail(someMail)()
				mu.Lock()
				defer mu.Unlock()
				replies[reply.String()]++
			})
		}
		synctest.Wait()
		if b.opened != 20 {
			t.Errorf("one network has %d connections, want 20 of 80", b.opened)
		}
		began := time.Now()
		honest := hop.Open(senderAt("198.51.100.7"))
		checkDeliver(t, honest, delivered)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("another network waited %s", waited)
		}
		idle.Wait()
		if waited := time.Since(began); waited != 30*time.Second {
			t.Errorf("the others waited %s", waited)
		}
		const refused = "451 4.3.2 too many messages from your network at once, try again later (id 7Q2F)"
		if replies[refused] != 180 {
			t.Errorf("replies: %v", replies)
		}
		for _, s := range append(held, honest) {
			s.Close()
		}
		b.wait()
		checkUnused(t, hop)
	})
}

// With 12 networks that hold all they may, the next one finds a slot.
func TestManyNetworksLeaveASlot(t *testing.T) {
	for networks := range 13 {
		s := newSlots(80)
		for n := range networks {
			from := originOf(netip.AddrFrom4([4]byte{byte(n), 1, 1, 1}))
			for s.takeNow(&waiter{from: from}) {
			}
		}
		if !s.takeNow(&waiter{from: originOf(netip.MustParseAddr("198.51.100.7"))}) {
			t.Errorf("none left beside %d networks", networks)
		}
	}
}

// An IPv6 /32 has 65,536 networks. It gets half of the connections.
func TestOneWideNetworkHasHalfOfTheSlots(t *testing.T) {
	for _, format := range []string{"2001:db8:%x::1", "198.51.%d.1"} {
		s := newSlots(80)
		for n := range 200 {
			s.takeNow(&waiter{from: originOf(netip.MustParseAddr(fmt.Sprintf(format, n)))})
		}
		if s.used != 40 {
			t.Errorf("%s: %d of 80", format, s.used)
		}
	}
}

// A next hop with one slot serves everybody, one after another.
func TestOneConnectionServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		hop := b.hop("smtp://mail.test?connections=1")
		var senders sync.WaitGroup
		for n := range 20 {
			senders.Go(func() {
				s := hop.Open(senderAt(fmt.Sprintf("192.0.%d.7", n)))
				checkDeliver(t, s, delivered)
				checkDeliver(t, s, delivered)
				s.Close()
			})
		}
		senders.Wait()
		b.wait()
		checkUnused(t, hop)
	})
}

// A network that waits in vain because others have all is not blamed for it.
func TestFullNextHopSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		hop := b.hop("smtp://mail.test?connections=1")
		holder, other := hop.Open(senderAt("192.0.2.1")), hop.Open(senderAt("198.51.100.7"))
		holder.Mail(someMail)()
		reply := other.Mail(someMail)()
		if want := "451 4.3.2 too many messages at once, try again later (id 7Q2F)"; reply.String() != want {
			t.Errorf("got %s", reply)
		}
		holder.Reset()
		checkDeliver(t, other, delivered)
		holder.Close()
		other.Close()
		b.wait()
	})
}

// The network with the fewest messages is next, however long another one waits.
func TestWaitIsFairBetweenNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(8)
		greedy, small := originOf(netip.MustParseAddr("192.0.2.1")), originOf(netip.MustParseAddr("198.51.100.7"))
		s.take(greedy, nil)
		s.take(greedy, nil)
		for n := range 6 {
			s.take(originOf(netip.AddrFrom4([4]byte{10, 1 + byte(n), 0, 1})), nil)
		}
		order := make(chan string, 10)
		var waiting sync.WaitGroup
		wait := func(name string, from origin) {
			waiting.Go(func() {
				if _, err := s.take(from, nil); err == nil {
					order <- name
				}
			})
			synctest.Wait()
		}
		wait("greedy", greedy)
		wait("greedy", greedy)
		wait("small", small)
		s.give(originOf(netip.MustParseAddr("10.1.0.1")), nil)
		waiting.Wait()
		close(order)
		var got []string
		for name := range order {
			got = append(got, name)
		}
		if strings.Join(got, " ") != "small" {
			t.Errorf("slots went to %q, want to small alone", got)
		}
	})
}

// A sender that stays silent after its message keeps no connection, and one that sends
// another message at once keeps its own.
func TestConnectionRestsForFiveSeconds(t *testing.T) {
	for pause, connections := range map[time.Duration]int{4 * time.Second: 1, 6 * time.Second: 2} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t)
			hop := b.hop("smtp://mail.test")
			s := hop.Open(someSender)
			checkDeliver(t, s, delivered)
			time.Sleep(pause)
			synctest.Wait()
			if open := hop.slots.resting.Len(); open != 2-connections {
				t.Errorf("after %s, %d connections rest", pause, open)
			}
			checkDeliver(t, s, delivered)
			s.Close()
			b.wait()
			if b.opened != connections {
				t.Errorf("after %s: %d connections, want %d", pause, b.opened, connections)
			}
			checkUnused(t, hop)
		})
	}
}

// A message that the server refuses at MAIL, or that the sender cancels, keeps no slot.
func TestNoMessageNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, `
			< 220 ready
			> EHLO *
			< 250 backend
			> MAIL *
			< 450 4.7.1 not now
			serve`)
		hop := b.hop("smtp://mail.test")
		s := hop.Open(someSender)
		checkDeliver(t, s, "MAIL 450 4.7.1, RCPT 450 4.7.1")
		if hop.slots.used != 0 {
			t.Error("a refused message has a slot")
		}
		if got := deliverTo(s, someMail, someRcpt); got != "MAIL 250, RCPT 250" {
			t.Error(got)
		}
		if hop.slots.used != 1 {
			t.Error("a message has no slot")
		}
		s.Reset()
		if hop.slots.used != 0 {
			t.Error("a cancelled message has a slot")
		}
		s.Close()
		b.wait()
	})
}

// A server that refuses MAIL and then replies 354 waits for a text that never comes: its
// connection is not used again.
func TestTextForARefusedMessageEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, `
			< 220 ready
			> EHLO *
			< 250-backend
			< 250 PIPELINING
			> MAIL *
			> RCPT *
			> DATA
			< 450 4.7.1 not now
			< 250 2.1.5 ok
			< 354 go on
			hang`)
		hop := b.hop("smtp://mail.test")
		s := hop.Open(someSender)
		mail, rcpt, data := s.Mail(someMail), s.Rcpt(someRcpt), s.Data()
		if got := brief("MAIL", mail()) + ", " + brief("RCPT", rcpt()) + ", " + brief("DATA", data()); got != "MAIL 450 4.7.1, RCPT 250, DATA 450 4.7.1" {
			t.Error(got)
		}
		checkDeliver(t, s, delivered)
		s.Close()
		b.wait()
		checkUnused(t, hop)
	})
}

// Sessions that do all sorts of things at once leave nothing behind, and never exceed the
// limit.
func TestSlotsAreNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, "close", "< 554 no\nclose", "hang", "< 220 ready\n> EHLO *\nclose")
		hop := b.hop("smtp://mail.test?connections=7")
		var senders sync.WaitGroup
		for n := range 60 {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			senders.Go(func() {
				s := hop.Open(senderAt(fmt.Sprintf("192.0.%d.%d", n%5, n)))
				for range 10 {
					time.Sleep(time.Duration(random.IntN(8)) * time.Second)
					switch random.IntN(4) {
					case 0:
						deliverTo(s, someMail, someRcpt)
						s.Reset()
					case 1:
						s.Mail(someMail)
						s.Rcpt(someRcpt)
						s.Reset()
					default:
						deliver(s, someText)
					}
					hop.slots.mu.Lock()
					if open := hop.slots.used + hop.slots.resting.Len(); open > 7 {
						t.Errorf("%d connections", open)
					}
					hop.slots.mu.Unlock()
				}
				s.Close()
			})
		}
		senders.Wait()
		b.wait()
		checkUnused(t, hop)
	})
}

func checkUnused(t *testing.T, hop *Hop) {
	t.Helper()
	s := hop.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used != 0 || len(s.shares) != 0 || s.resting.Len() != 0 || s.waiting.Len() != 0 {
		t.Errorf("left behind: %d slots, %d networks, %d resting, %d waiting", s.used, len(s.shares), s.resting.Len(), s.waiting.Len())
	}
}

// BenchmarkGiveToMany is a message's end while 10,000 networks wait.
func BenchmarkGiveToMany(b *testing.B) {
	s := newSlots(80)
	froms := make([]origin, 10_000)
	for n := range froms {
		froms[n] = originOf(netip.AddrFrom4([4]byte{byte(n), byte(n >> 8), 0, 1}))
		s.takeNow(&waiter{from: froms[n]})
	}
	n := 0
	for b.Loop() {
		s.give(froms[n], nil)
		n = (n + 1) % len(froms)
		s.takeNow(&waiter{from: froms[(n+79)%len(froms)]})
	}
}
