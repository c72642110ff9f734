package testpeer

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

// A server may accept a connection and send nothing.
func TestWaitForGreetingEndsWithContext(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		stop()
		_, _ = io.Copy(io.Discard, conn)
	}()
	if err := greeting(ctx, "tcp4", listener.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v, want %v", err, context.Canceled)
	}
}
