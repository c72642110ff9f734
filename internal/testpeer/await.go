package testpeer

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"
)

const (
	// pollInterval is the pause between two looks at something that will come.
	pollInterval = 10 * time.Millisecond
	// awaitTimeout bounds every wait. It is generous: a loaded machine is no failure.
	awaitTimeout = 60 * time.Second
	// lowestPort and highestPort bound the ports given to servers. They lie below
	// the ports that Linux gives to outgoing connections (from 32768 on), so that
	// none of those takes the port before the server does.
	lowestPort, highestPort = 10240, 32767
)

// await polls until ready returns nil. It ends the test when the daemon ends
// first or when the time is up.
func await(t T, d *daemon, what string, ready func() error) {
	t.Helper()
	deadline := time.Now().Add(awaitTimeout)
	for {
		err := ready()
		if err == nil {
			return
		}
		if gone := d.ended(); gone != nil {
			t.Fatalf("testpeer: waiting for %s: %v; %s", what, gone, d.explain())
		}
		if time.Now().After(deadline) {
			t.Fatalf("testpeer: waiting %v for %s: %v; %s", awaitTimeout, what, err, d.explain())
		}
		if ctx := contextOf(t); ctx.Err() != nil {
			t.Fatalf("testpeer: waiting for %s: %v", what, ctx.Err())
		}
		time.Sleep(pollInterval)
	}
}

// contextOf ends when t has no more time, as far as it says.
func contextOf(t T) context.Context {
	if c, ok := t.(interface{ Context() context.Context }); ok {
		return c.Context()
	}
	return context.Background()
}

// awaitOutput waits until the daemon has said text on its standard output or error.
func awaitOutput(t T, d *daemon, text string) {
	t.Helper()
	await(t, d, d.name+" to say "+text, func() error {
		said, err := os.ReadFile(d.output)
		if err == nil && !strings.Contains(string(said), text) {
			err = fmt.Errorf("it says %q", said)
		}
		return err
	})
}

// awaitGreeting waits until the server at addr greets as SMTP and LMTP servers do.
func awaitGreeting(t T, d *daemon, network, addr string) {
	t.Helper()
	await(t, d, "the greeting at "+addr, func() error { return greeting(contextOf(t), network, addr) })
}

func greeting(ctx context.Context, network, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	if !strings.HasPrefix(line, "220") {
		return fmt.Errorf("greeted with %q, want 220", line)
	}
	_, err = fmt.Fprint(conn, "QUIT\r\n")
	return err
}

// freeAddr returns an IPv4 loopback address with a port that nobody listens on.
func freeAddr(t T) string {
	t.Helper()
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer listener.Close()
		return listener.Addr().String()
	}
	t.Fatalf("testpeer: 100 ports tried, none free on 127.0.0.1")
	return ""
}

// splitAddr cuts host:port in two.
func splitAddr(t T, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatalf("testpeer: address %q: %v", addr, err)
	}
	return host, port
}
