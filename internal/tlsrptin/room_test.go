package tlsrptin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/testreport"
	"postern/tlsrpt"
)

// A stalled text is a message of some size that never ends, until the test does.
type stalled struct {
	left  int
	until <-chan struct{}
}

func (s *stalled) Read(p []byte) (int, error) {
	if s.left == 0 {
		<-s.until
		return 0, io.ErrUnexpectedEOF
	}
	n := min(s.left, len(p))
	s.left -= n
	clear(p[:n])
	return n, nil
}

// deliverAlone is deliverFrom for several at once, with a next hop that keeps nothing.
func (s *testReceiver) deliverAlone(client string, text io.Reader) {
	alone := &testReceiver{Receiver: s.Receiver, next: &backend{reply: accepted, forgets: true}}
	alone.deliverFrom(client, text, reportsAddress)
}

// large is a mail with a report of 6 MiB, which are 8 in base64.
func large(id string) string {
	r := october
	r.ID = id + strings.Repeat("x", 6<<20)
	return strings.ReplaceAll(r.MailWith("application/tlsrpt+json", []byte(r.JSON())), r.ID, id)
}

// Whoever sends nothing more holds what a network may have, and for five minutes.
func TestSlowMailsOfOneNetworkLeaveRoomForOthers(t *testing.T) {
	honest := large("one")
	for name, attacker := range map[string]func(n int) string{
		"IPv4 /24": func(n int) string { return fmt.Sprint("203.0.113.", n) },
		"IPv6 /32": func(n int) string { return fmt.Sprintf("2001:db8:%x::1", n) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestReceiver(t, Settings{})
				end := make(chan struct{})
				for n := range 20 {
					size := []int{12<<20 - 1, 5 << 20, 8 << 10, 1}[n%4]
					go s.deliverAlone(attacker(n), &stalled{size, end})
					go post(s, netip.AddrPortFrom(netip.MustParseAddr(attacker(n)), 1).String(), "", &stalled{min(size, 8<<20-1), end})
					synctest.Wait()
				}
				if held := s.reserved(); held < 30<<20 {
					t.Errorf("%d bytes are held", held)
				}
				if _, reply := s.deliverFrom("192.0.2.7", strings.NewReader(honest), reportsAddress); reply.String() != accepted.String() {
					t.Errorf("replied %v", reply)
				}
				if synctest.Wait(); len(s.reports()) != 1 {
					t.Errorf("the report is not stored; the log says %s", s.log)
				}
				if w := post(s, "192.0.2.7:4711", "", strings.NewReader(october.JSON())); w.Code != http.StatusCreated {
					t.Errorf("POST: %d %s", w.Code, w.Body)
				}
				time.Sleep(5*time.Minute + time.Second)
				if held := s.reserved(); held != 0 {
					t.Errorf("%d bytes are still held", held)
				}
				close(end)
			})
		})
	}
}

// A thousand networks that hold as much as they can leave room for another one, and have equal
// parts.
func TestNetworksShareTheRoom(t *testing.T) {
	r := newRoom(mailRoom)
	for n := range 1000 {
		for range 20 {
			b := r.buffer(netip.AddrFrom4([4]byte{198, byte(n / 250), byte(n % 250), 1}), tlsrpt.MaxMailSize)
			defer b.release()
			b.Write(make([]byte, 8<<10))
		}
	}
	b := r.buffer(netip.MustParseAddr("192.0.2.7"), tlsrpt.MaxMailSize)
	defer b.release()
	b.Write(make([]byte, 20<<10))
	if _, err := b.use(); err != nil {
		t.Errorf("%v; %d bytes are free", err, r.free)
	}
	for network, h := range r.networks {
		if h.taken < 20<<10 || h.taken > 60<<10 {
			t.Errorf("%v holds %d bytes", network, h.taken)
		}
	}
}

// Whoever would hold as much as another does not take its place.
func TestNetworksThatHoldTheSameKeepIt(t *testing.T) {
	r := newRoom(16 << 10)
	a := r.buffer(netip.MustParseAddr("203.0.113.1"), 16<<10)
	defer a.release()
	a.Write(make([]byte, 16<<10))
	b := r.buffer(netip.MustParseAddr("192.0.2.7"), 16<<10)
	defer b.release()
	b.Write(make([]byte, 16<<10))
	if _, err := b.use(); err != errBusy {
		t.Errorf("16 KiB of the one, then of the other: %v", err)
	}
	if content, err := a.use(); err != nil || len(content) != 16<<10 {
		t.Errorf("the first one: %d bytes, %v", len(content), err)
	}
}

// What is being read is not dropped.
func TestBufferInUseStays(t *testing.T) {
	r := newRoom(mailRoom)
	var content [][]byte
	for n := range 4 {
		b := r.buffer(netip.MustParseAddr("203.0.113.1"), tlsrpt.MaxMailSize)
		defer b.release()
		b.Write(bytes.Repeat([]byte{byte(n)}, 12<<20))
		used, err := b.use()
		if err != nil {
			t.Fatal(err)
		}
		content = append(content, used)
	}
	other := r.buffer(netip.MustParseAddr("192.0.2.7"), tlsrpt.MaxMailSize)
	fmt.Fprint(other, "hello")
	if _, err := other.use(); !errors.Is(err, errBusy) || r.free != 0 {
		t.Errorf("%v; %d bytes are free", err, r.free)
	}
	for n := range content {
		if len(content[n]) != 12<<20 || content[n][0] != byte(n) {
			t.Errorf("message %d has %d bytes", n, len(content[n]))
		}
	}
}

// A sender keeps what there is no room for.
func TestReportWithoutRoomIsDeferred(t *testing.T) {
	s := newTestReceiver(t, Settings{Only: true})
	for range 4 {
		b := s.mail.buffer(netip.MustParseAddr("203.0.113.1"), tlsrpt.MaxMailSize)
		defer b.release()
		b.Write(make([]byte, 12<<20))
		b.use()
	}
	if _, reply := s.deliver(strings.NewReader(october.Mail()), reportsAddress); reply.String() != "452 4.3.1 too many reports at once, try again later" {
		t.Errorf("replied %v", reply)
	}
}

func TestMailThatTakesTooLongIsDeferredOrPassedOn(t *testing.T) {
	slowly := func() io.Reader {
		return io.MultiReader(strings.NewReader("X: y\r\n"), delay(5*time.Minute+time.Second), strings.NewReader(october.Mail()))
	}
	synctest.Test(t, func(t *testing.T) {
		s := newTestReceiver(t, Settings{Only: true})
		if _, reply := s.deliver(slowly(), reportsAddress); reply.String() != "451 4.4.2 report took more than 5m0s to arrive, try again later" {
			t.Errorf("replied %v", reply)
		}
		s = newTestReceiver(t, Settings{})
		if _, reply := s.deliver(slowly(), reportsAddress); reply.String() != accepted.String() || len(s.next.messages) != 1 {
			t.Errorf("replied %v, the next hop has %d messages", reply, len(s.next.messages))
		}
		if synctest.Wait(); !strings.Contains(s.log.String(), `report mail not stored; next hop has it" session=7Q2F err="took more than 5m0s to arrive"`) {
			t.Errorf("the log says %s", s.log)
		}
	})
}

// A delay is a text without a character that takes some time.
type delay time.Duration

func (d delay) Read([]byte) (int, error) {
	time.Sleep(time.Duration(d))
	return 0, io.EOF
}

func TestBufferGrowsWithItsContent(t *testing.T) {
	r := newRoom(mailRoom)
	reserved := func() int { return 48<<20 - r.free }
	b := r.buffer(netip.MustParseAddr("192.0.2.7"), tlsrpt.MaxMailSize)
	fmt.Fprint(b, "hello")
	if reserved() != 8<<10 {
		t.Errorf("5 bytes reserve %d", reserved())
	}
	b.Write(make([]byte, 8<<10-5))
	if reserved() != 8<<10 {
		t.Errorf("8 KiB reserve %d", reserved())
	}
	b.Write(make([]byte, 1))
	if reserved() != 16<<10 {
		t.Errorf("a byte more: %d", reserved())
	}
	b.Write(make([]byte, 11<<20-8<<10-1))
	if content, err := b.use(); err != nil || len(content) != 11<<20 || reserved() != 11<<20 {
		t.Errorf("11 MiB: %v, %d bytes are reserved", err, reserved())
	}
	b.Write(make([]byte, 1<<20+1))
	if content, err := b.use(); !errors.Is(err, tlsrpt.ErrTooLarge) || content != nil || reserved() != 0 {
		t.Errorf("12 MiB: %v, %d bytes are reserved", err, reserved())
	}
	if b.Write(make([]byte, 1)); reserved() != 0 {
		t.Errorf("what is dropped takes %d bytes again", reserved())
	}
	b.release()
	if reserved() != 0 || len(r.networks) != 0 {
		t.Errorf("released twice: %d", reserved())
	}
}

// The largest mail fits while one other network holds all it may, and its doubling buffer takes
// no more than it needs.
func TestLargestMailFits(t *testing.T) {
	r := newRoom(mailRoom)
	other := r.buffer(netip.MustParseAddr("203.0.113.1"), 12<<20)
	other.Write(make([]byte, 12<<20))
	b := r.buffer(netip.MustParseAddr("192.0.2.7"), 12<<20)
	for range 12 << 20 / 4096 {
		b.Write(make([]byte, 4096))
		if n := cap(b.bytes) - len(b.bytes); n > 1<<20 {
			t.Fatalf("%d bytes are reserved beyond the first %d", n, len(b.bytes))
		}
	}
	if content, err := b.use(); err != nil || len(content) != 12<<20 || r.free != 24<<20 {
		t.Errorf("%v, %d bytes; %d are free", err, len(content), r.free)
	}
}

// A report that waits for a DNS server that does not answer delays no other.
func TestFloodOfSlowKeysDelaysNoOtherReport(t *testing.T) {
	evil, honest := testreport.NewSigner(t, "evil.test"), testreport.NewSigner(t, "microsoft.test")
	theirs := october
	theirs.Submitter = "evil.test"
	hostile, mail := evil.Sign(t, theirs.Mail()), honest.Sign(t, october.Mail())
	synctest.Test(t, func(t *testing.T) {
		s := newTestReceiver(t, Settings{})
		s.keys = slowFor("evil.test", honest)
		for n := range 1000 {
			if _, reply := s.deliverFrom(fmt.Sprint("203.0.113.", n%250), strings.NewReader(hostile), reportsAddress); reply.String() != accepted.String() {
				t.Fatalf("message %d: %v", n, reply)
			}
		}
		began := time.Now()
		s.deliver(strings.NewReader(mail), reportsAddress)
		<-s.new
		if r := s.reports(); len(r) != 1 || !r[0].Verified || time.Since(began) > 10*time.Second {
			t.Errorf("after %v: %d reports", time.Since(began), len(r))
		}
		if len(s.next.messages) != 1001 {
			t.Errorf("the next hop has %d messages", len(s.next.messages))
		}
	})
}

// slowFor looks up the key of a signer, and gets no answer for a domain.
func slowFor(domain string, signer *testreport.Signer) keyLookup {
	_, key, _ := strings.Cut(strings.TrimSuffix(signer.KeyRecord(""), `"`), `"`)
	return func(ctx context.Context, name string) ([]string, error) {
		if strings.HasSuffix(name, "."+domain) {
			<-ctx.Done()
			return nil, &net.DNSError{Err: "no answer", Name: name, IsTimeout: true, IsTemporary: true}
		}
		return []string{key}, nil
	}
}

func TestAllReportsOfManyAreStored(t *testing.T) {
	s := newTestReceiver(t, Settings{})
	for n := range 100 {
		r := october
		r.ID = fmt.Sprint(n)
		s.deliver(strings.NewReader(r.Mail()), reportsAddress)
		<-s.new
	}
	s.Receiver.Close(t.Context())
	if got := len(s.reports()); got != 100 || s.reserved() != 0 {
		t.Errorf("%d reports are stored, %d bytes are reserved", got, s.reserved())
	}
}
