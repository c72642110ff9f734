package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/testsmtp"
)

const (
	idleConnections = 5000
	slowConnections = 500
	crowdNetworks   = 50 // IPv4 /24, so that a network's limit of 200 is not reached
)

// Idle and slow connections from many networks keep nobody out.
func TestHonestMailGetsInPastIdleAndSlowConnections(t *testing.T) {
	needFiles(t, idleConnections+slowConnections+200)
	p := start(t)
	idle := gather(t, idleConnections, func(i int) (*testsmtp.Client, error) { return testsmtp.Dial(p.addr, crowdAddress(i)) })
	slow := gather(t, slowConnections, func(i int) (*testsmtp.Client, error) { return beginSlowly(p.addr, i) })
	stop := dribble(slow)
	defer stop()
	for i := range 20 {
		checkGetsIn(t, p, i)
	}
	stop()
	for _, c := range append(idle, slow...) {
		c.Close()
	}
	p.awaitSessions(idleConnections + slowConnections + 20)
}

// A crowd from one network fills that network's share, and nobody else's.
func TestACrowdFromOneNetworkKeepsOnlyItselfOut(t *testing.T) {
	needFiles(t, idleConnections+200)
	p := start(t)
	const share = 200 // smtpd.DefaultLimits
	var mu sync.Mutex
	in := 0
	crowd := gather(t, idleConnections, func(i int) (*testsmtp.Client, error) {
		c, err := testsmtp.Connect(p.addr, fmt.Sprintf("127.9.9.%d", i%254+1))
		if err != nil {
			return nil, err
		}
		reply, err := c.Reply()
		if err == nil && reply.Code == 220 {
			mu.Lock()
			defer mu.Unlock()
			in++
		} else if err == nil && (reply.Code != 421 || !strings.Contains(reply.Text(), "127.9.9.0/24")) {
			err = fmt.Errorf("turned away with %q, want a 421 that names the network", reply)
		}
		return c, err
	})
	if in != share {
		t.Errorf("%d connections from one network were let in at once, want %d", in, share)
	}
	checkGetsIn(t, p, 0)
	if c, err := testsmtp.Dial(p.addr, "127.9.9.9"); err == nil {
		t.Error("the network that has its share was let in once more")
		c.Close()
	}
	for _, c := range crowd {
		c.Close()
	}
}

// needFiles checks that this process, and so its child, may open enough files.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit // package os has raised the soft limit to the hard one
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < n {
		unavailable(t, fmt.Sprintf("this story opens %d files, and the limit is %d (ulimit -n)", n, limit.Cur))
	}
}

// crowdAddress is an address of the crowd's networks.
func crowdAddress(i int) string {
	return fmt.Sprintf("127.%d.%d.%d", 10+i%crowdNetworks, i%crowdNetworks, i/crowdNetworks%250+1)
}

// gather opens n connections, some at a time.
func gather(t *testing.T, n int, open func(i int) (*testsmtp.Client, error)) []*testsmtp.Client {
	t.Helper()
	crowd := make([]*testsmtp.Client, n)
	errs := make([]error, n)
	room := make(chan struct{}, 50)
	var all sync.WaitGroup
	for i := range n {
		room <- struct{}{}
		all.Go(func() {
			crowd[i], errs[i] = open(i)
			<-room
		})
	}
	all.Wait()
	for i, c := range crowd {
		if errs[i] != nil {
			t.Fatalf("connection %d of %d: %v", i+1, n, errs[i])
		}
		t.Cleanup(c.Close)
	}
	return crowd
}

// beginSlowly opens a connection that has come into one of the places where a
// sender can dawdle: a command, a text, a handshake.
func beginSlowly(addr string, i int) (*testsmtp.Client, error) {
	c, err := testsmtp.Dial(addr, crowdAddress(i))
	if err != nil {
		return nil, err
	}
	places := [][]string{nil, {"EHLO sender.test", "STARTTLS"}, {"EHLO sender.test", "MAIL FROM:<>", "RCPT TO:<user@localhost>", "DATA"}}
	return c, c.Commands(places[i%len(places)]...)
}

// dribble makes each connection say one byte now and then.
func dribble(slow []*testsmtp.Client) (stop func()) {
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTicker(100 * time.Millisecond)
		defer pace.Stop()
		for {
			for _, c := range slow {
				_ = c.Send("x")
			}
			select {
			case <-pace.C:
			case <-ending:
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(ending); <-ended })
}

// checkGetsIn delivers a letter from a network that the crowd is not in.
func checkGetsIn(t *testing.T, p *postern, i int) {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, "127.200.0.1", testsmtp.OpportunisticTLS())
	if err != nil {
		t.Fatalf("an honest sender: %v", err)
	}
	defer c.Close()
	reply, err := c.Deliver(newLetter(fmt.Sprintf("honest %d", i), 4<<10))
	if err != nil || reply.Code != 250 {
		t.Errorf("an honest message: %s, %v", reply, err)
	}
}

// webConnections is how many strangers come to the web listener, which takes 1,000.
const webConnections = 10_000

// A crowd at the web listener, idle, slow, or turned away, takes nothing from mail.
func TestHonestMailGetsInPastACrowdAtTheWebListener(t *testing.T) {
	needFiles(t, webConnections+200)
	file := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(file, []byte(`web.listen = ["127.0.0.1:0"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", file)
	web := address.FindString(p.await(0, "127.0.0.1:", "(HTTPS)"))
	crowd := gather(t, webConnections, func(i int) (*testsmtp.Client, error) {
		c, err := testsmtp.Connect(web, crowdAddress(i))
		if err == nil && i%2 == 0 {
			_ = c.Send("\x16\x03\x01\x02") // the start of a handshake; it may be closed already
		}
		return c, err
	})
	p.await(0, "web connection refused", "too many connections")
	for i := range 20 {
		checkGetsIn(t, p, i)
	}
	for _, c := range crowd {
		c.Close()
	}
	p.awaitSessions(20)
}

// What is too long is refused with the reply that fits, or cut off, and the
// server lives on.
func TestWhatIsTooLongIsRefused(t *testing.T) {
	p := start(t)
	for _, tt := range []struct {
		name string
		send string
		want int // the last reply; behind it the connection may end
	}{
		{"command line", "NOOP " + strings.Repeat("x", 3000) + "\r\n", 500},
		{"command line without end", strings.Repeat("x", 64<<20), 500},
		{"name in EHLO", "EHLO " + strings.Repeat("x", 300) + "\r\n", 501},
		{"local part", hello + "MAIL FROM:<" + strings.Repeat("x", 1000) + "@sender.test>\r\n", 553},
		{"domain", hello + "MAIL FROM:<x@" + strings.Repeat("x.", 500) + "test>\r\n", 553},
		{"parameters", hello + "MAIL FROM:<x@sender.test> " + strings.Repeat("SIZE=1 ", 100) + "\r\n", 501},
		{"size announced", hello + "MAIL FROM:<> SIZE=1099511627776\r\n", 552},
		{"size announced with many digits", hello + "MAIL FROM:<> SIZE=" + strings.Repeat("9", 100) + "\r\n", 501},
		{"message", toText + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 52<<10) + ".\r\n", 552},
		{"message without end", toText + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 128<<10), 354},
		{"line of a message", toText + strings.Repeat("x", 1<<20) + "\r\n.\r\n", 550},
		{"chunk", toRecipient + "BDAT 1099511627776 LAST\r\n" + strings.Repeat("x", 128<<20), 250},
		{"chunk with many digits", toRecipient + "BDAT " + strings.Repeat("9", 100) + " LAST\r\n", 501},
		{"number of chunks", toRecipient + strings.Repeat("BDAT 1\r\nx", 5000), 421},
		{"number of recipients", hello + "MAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<user@localhost>\r\n", 101), 452},
		{"number of Received fields", toText + strings.Repeat("Received: by x\r\n", 101) + "\r\n.\r\n", 554},
		{"number of errors", strings.Repeat("BANANA\r\n", 100), 421},
		{"number of commands", strings.Repeat("NOOP\r\n", 5000), 421},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := testsmtp.Dial(p.addr, "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			codes := flood(c, tt.send)
			if len(codes) == 0 || codes[len(codes)-1] != tt.want {
				t.Errorf("replies %v, want %d as the last", codes[max(0, len(codes)-8):], tt.want)
			}
			if reply := p.deliver(t, newLetter(tt.name, 0)); reply.Code != 250 {
				t.Errorf("an honest message afterwards: %s", reply)
			}
		})
	}
}

// The ways to the place where something is too long.
const (
	hello       = "EHLO sender.test\r\n"
	toRecipient = hello + "MAIL FROM:<>\r\nRCPT TO:<user@localhost>\r\n"
	toText      = toRecipient + "DATA\r\n"
)

// flood sends text while it reads replies, then ends its side, and returns the
// codes of all replies. The server may cut it off.
func flood(c *testsmtp.Client, text string) []int {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = c.Send(text)
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	codes := codes(c, "")
	c.Close()
	<-sent
	return codes
}
