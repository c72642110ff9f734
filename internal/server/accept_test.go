package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A scarceListener has no descriptor for a connection until a time.
type scarceListener struct {
	net.Listener
	until time.Time
}

func (l scarceListener) Accept() (net.Conn, error) {
	if time.Now().Before(l.until) {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return nil, net.ErrClosed
}

func TestTooFewDescriptorsAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		ln := steadyListener{scarceListener{until: time.Now().Add(5*time.Minute - time.Second)}, newFaultLog(slog.New(slog.NewTextHandler(&log, nil)), 1)}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepted with %v", err)
		}
		lines := strings.Count(log.String(), "\n")
		if lines != 5 || !strings.Contains(log.String(), "too many open files") || !strings.Contains(log.String(), "failures=600") {
			t.Errorf("five minutes without descriptors have %d lines:\n%s", lines, &log)
		}
	})
}

// After a failure, the next connection is accepted.
func TestAcceptGoesOnAfterAFailure(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	steady := steadyListener{&failsOnce{Listener: ln}, slog.New(slog.DiscardHandler)}
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := steady.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "220")
	conn.Close()
	if got, err := io.ReadAll(client); string(got) != "220" {
		t.Errorf("read %q, %v", got, err)
	}
}

// failsOnce fails to accept once.
type failsOnce struct {
	net.Listener
	failed bool
}

func (l *failsOnce) Accept() (net.Conn, error) {
	if !l.failed {
		l.failed = true
		return nil, &net.OpError{Op: "accept", Err: syscall.ECONNABORTED}
	}
	return l.Listener.Accept()
}
