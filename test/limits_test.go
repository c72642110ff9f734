package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
	clientNetworks  = 50 // IPv4 /24, each below its connection limit of 200, in as many /16
)

// Idle and slow connections from many networks do not keep other senders out.
func TestMailIsDeliveredDespiteIdleAndSlowConnections(t *testing.T) {
	requireFiles(t, idleConnections+slowConnections+200)
	p := start(t)
	idle := openConnections(t, idleConnections, func(i int) (*testsmtp.Client, error) { return testsmtp.Dial(p.addr, clientAddress(i)) })
	slow := openConnections(t, slowConnections, func(i int) (*testsmtp.Client, error) { return openSlow(p.addr, i) })
	stop := sendSlowly(slow)
	defer stop()
	for i := range 20 {
		checkDelivers(t, p, i)
	}
	stop()
	for _, c := range append(idle, slow...) {
		c.Close()
	}
	p.terminate()
	if got := p.countSessions(); got != idleConnections+slowConnections+20 {
		t.Errorf("the log accounts for %d sessions, want %d", got, idleConnections+slowConnections+20)
	}
}

// moreSessions matches the number of sessions in a line that sums some up.
var moreSessions = regexp.MustCompile(`msg="more sessions without a message" .*over_limit=([0-9]+) admitted=([0-9]+)`)

// countSessions returns how many sessions the log of a program that has ended accounts for:
// those with a line, and those in sums.
func (p *postern) countSessions() int {
	n := p.log.count("msg=session ")
	for _, line := range p.log.lines {
		if m := moreSessions.FindStringSubmatch(line); m != nil {
			overLimit, _ := strconv.Atoi(m[1])
			admitted, _ := strconv.Atoi(m[2])
			n += overLimit + admitted
		}
	}
	return n
}

// Connections from one network use up that network's limit only.
func TestConnectionLimitOfANetworkAffectsNoOther(t *testing.T) {
	requireFiles(t, idleConnections+200)
	p := start(t)
	const limit = 200 // smtpd.DefaultLimits
	var mu sync.Mutex
	in := 0
	crowd := openConnections(t, idleConnections, func(i int) (*testsmtp.Client, error) {
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
			err = fmt.Errorf("reply %q, want a 421 that names the network", reply)
		}
		return c, err
	})
	if in != limit {
		t.Errorf("%d connections from one network were accepted at once, want %d", in, limit)
	}
	checkDelivers(t, p, 0)
	if c, err := testsmtp.Dial(p.addr, "127.9.9.9"); err == nil {
		t.Error("a connection above the limit was accepted")
		c.Close()
	}
	for _, c := range crowd {
		c.Close()
	}
	p.terminate()
	if got, lines := p.countSessions(), p.log.length(); got != idleConnections+2 || lines > 500 {
		t.Errorf("the log accounts for %d sessions in %d lines, want %d sessions and a few hundred lines", got, lines, idleConnections+2)
	}
}

// Connections from one address leave room for others of its network.
func TestConnectionLimitOfAnAddressAffectsNoNeighbour(t *testing.T) {
	p := start(t)
	const limit = 50 // a quarter of the network's
	for range limit {
		c, err := testsmtp.Dial(p.addr, "127.9.9.1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	c, err := testsmtp.Connect(p.addr, "127.9.9.1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if reply, err := c.Reply(); err != nil || reply.Code != 421 || !strings.Contains(reply.Text(), "from your address 127.9.9.1,") {
		t.Errorf("one more connection gets %s (%v), want a 421 that names the address", reply, err)
	}
	neighbour, err := testsmtp.Dial(p.addr, "127.9.9.2")
	if err != nil {
		t.Fatalf("a neighbour: %v", err)
	}
	neighbour.Close()
}

// requireFiles skips the test if this process, and so its child, may not open n files.
func requireFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit // package os has raised the soft limit to the hard one
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < n {
		unavailable(t, fmt.Sprintf("this test opens %d files, and the limit is %d (ulimit -n)", n, limit.Cur))
	}
}

// clientAddress returns the address of client i, in one of clientNetworks.
func clientAddress(i int) string {
	return fmt.Sprintf("127.%d.%d.%d", 10+i%clientNetworks, i%clientNetworks, i/clientNetworks%250+1)
}

// openConnections opens n connections, 50 at a time.
func openConnections(t *testing.T, n int, open func(i int) (*testsmtp.Client, error)) []*testsmtp.Client {
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

// openSlow opens a connection up to one of the places where a sender can be slow: a
// command, a text, a handshake.
func openSlow(addr string, i int) (*testsmtp.Client, error) {
	c, err := testsmtp.Dial(addr, clientAddress(i))
	if err != nil {
		return nil, err
	}
	places := [][]string{nil, {"EHLO sender.test", "STARTTLS"}, {"EHLO sender.test", "MAIL FROM:<>", "RCPT TO:<user@localhost>", "DATA"}}
	return c, c.Commands(places[i%len(places)]...)
}

// sendSlowly sends a byte on each connection every 100 ms.
func sendSlowly(slow []*testsmtp.Client) (stop func()) {
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

// checkDelivers delivers a message from another network.
func checkDelivers(t *testing.T, p *postern, i int) {
	t.Helper()
	c, err := testsmtp.DialTLS(p.addr, "127.200.0.1", testsmtp.OpportunisticTLS())
	if err != nil {
		t.Fatalf("another sender: %v", err)
	}
	defer c.Close()
	reply, err := c.Deliver(newMessage(fmt.Sprintf("other %d", i), 4<<10))
	if err != nil || reply.Code != 250 {
		t.Errorf("message of another sender: %s, %v", reply, err)
	}
}

// webConnections is the number of connections to the web listener, which accepts 1,000.
const webConnections = 10_000

// Connections to the web listener, idle, slow or rejected, do not affect mail.
func TestMailIsDeliveredDespiteFloodedWebListener(t *testing.T) {
	requireFiles(t, webConnections+200)
	file := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(file, []byte(`web.listen = ["127.0.0.1:0"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", file)
	web := address.FindString(p.await(0, "127.0.0.1:", "(HTTPS)"))
	crowd := openConnections(t, webConnections, func(i int) (*testsmtp.Client, error) {
		c, err := testsmtp.Connect(web, clientAddress(i))
		if err == nil && i%2 == 0 {
			_ = c.Send("\x16\x03\x01\x02") // the start of a handshake; it may be closed already
		}
		return c, err
	})
	p.await(0, "web connection refused", "too many connections")
	for i := range 20 {
		checkDelivers(t, p, i)
	}
	for _, c := range crowd {
		c.Close()
	}
	p.awaitSessions(20)
}

// Oversized input gets the right reply, or its connection is closed, and the server
// keeps working.
func TestOversizedInputIsRefused(t *testing.T) {
	p := start(t)
	for _, tt := range []struct {
		name string
		send string
		want int // the last reply; the connection may end after it
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
		{"message without end", toText + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 128<<10), 552},
		{"line of a message", toText + strings.Repeat("x", 1<<20) + "\r\n.\r\n", 550},
		{"chunk", toRecipient + "BDAT 1099511627776 LAST\r\n" + strings.Repeat("x", 128<<20), 550},
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
			if reply := p.deliver(t, newMessage(tt.name, 0)); reply.Code != 250 {
				t.Errorf("a message afterwards: %s", reply)
			}
		})
	}
}

// Commands up to the place where the input is oversized.
const (
	hello       = "EHLO sender.test\r\n"
	toRecipient = hello + "MAIL FROM:<>\r\nRCPT TO:<user@localhost>\r\n"
	toText      = toRecipient + "DATA\r\n"
)

// flood sends text while it reads replies, then closes the sending side, and returns the
// codes of all replies. The server may close the connection earlier.
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
