package handshake

import (
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// The server's kernel knows what of its flight the client's kernel has acknowledged.
func TestTranscriptSaysWhatTheClientAcknowledged(t *testing.T) {
	const flight = 4 << 10
	more := make([]byte, 64<<10) // more than fits into the small window
	timeout := func(_ *net.TCPConn, server *Conn) { server.SetReadDeadline(time.Unix(1, 0)) }
	for _, tt := range []struct {
		name   string
		before []byte // sent in plaintext
		flight []byte
		leave  func(client *net.TCPConn, server *Conn)
		how    EndKind
		want   []Acknowledged
	}{
		{"closed after reading it", nil, more[:flight], func(client *net.TCPConn, _ *Conn) {
			io.ReadFull(client, make([]byte, flight))
			client.Close()
		}, EndClosed, []Acknowledged{AckAll}},
		{"half closed after reading it", nil, more[:flight], func(client *net.TCPConn, _ *Conn) {
			io.ReadFull(client, make([]byte, flight))
			client.CloseWrite()
		}, EndClosed, []Acknowledged{AckAll}},
		// With unread data the kernel resets, and the server's does not take the
		// acknowledgement in a reset.
		{"closed without reading it", nil, more[:flight], func(client *net.TCPConn, _ *Conn) {
			client.Read(make([]byte, 1))
			client.Close()
		}, EndReset, []Acknowledged{AckAll, AckUnknown}},
		// What the client's window does not take waits at the server, as what the network
		// loses does.
		{"arrived in part", nil, more, func(client *net.TCPConn, server *Conn) {
			client.Read(make([]byte, 1))
			client.Write([]byte{22})
			server.Read(make([]byte, 1))
			timeout(client, server)
		}, EndTimeout, []Acknowledged{AckPart}},
		{"not arrived", more, more[:flight], timeout, EndTimeout, []Acknowledged{AckNone}},
		{"not sent", nil, nil, func(client *net.TCPConn, _ *Conn) { client.Close() }, EndClosed, []Acknowledged{AckUnknown}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, far := smallWindow(t)
			far.Write(tt.before)
			server := NewConn(far, AtServer)
			server.Begin()
			server.Write(tt.flight)
			tt.leave(client, server)
			server.Read(make([]byte, 1))
			got := server.Stop(UseNone)
			if got.End.Kind != tt.how || got.Acknowledged != tt.want[0] && got.Acknowledged != tt.want[len(tt.want)-1] {
				t.Errorf("%v, acknowledged %v; want %v, %v", got.End, got.Acknowledged, tt.how, tt.want)
			}
			if got.End.At <= 0 {
				t.Errorf("ended %v after the start", got.End.At)
			}
		})
	}
}

// A reset may have acknowledged what is still missing: no conclusion is possible from that.
func TestOnlyWhatWasAcknowledgedBeforeAResetIsKnown(t *testing.T) {
	for _, tt := range []struct {
		missing int
		how     EndKind
		want    Acknowledged
	}{
		{0, EndReset, AckAll},
		{1, EndReset, AckUnknown},
		{1000, EndReset, AckUnknown},
		{0, EndClosed, AckAll},
		{1, EndClosed, AckPart},
		{1000, EndClosed, AckNone},
		{1200, EndTimeout, AckNone}, // with plaintext before it
	} {
		if got := classifyAcknowledged(tt.missing, 1000, tt.how); got != tt.want {
			t.Errorf("%d of 1000 missing, %v: %v, want %v", tt.missing, tt.how, got, tt.want)
		}
	}
}

// What a client did before the server's flight is no answer to the flight.
func TestAClientThatLeftBeforeTheFlightLeftBeforeIt(t *testing.T) {
	flight := func() []byte { return full(aes128, 36).b }
	for _, tt := range []struct {
		name  string
		leave func(client *net.TCPConn)
		want  string
	}{
		{"half closed", func(client *net.TCPConn) { client.CloseWrite() }, "closed silently by the client, after ClientHello"},
		{"closed", func(client *net.TCPConn) { client.Close() }, "closed silently by the client, after ClientHello"},
		{"reset", func(client *net.TCPConn) { client.SetLinger(0); client.Close() }, "connection reset by the client, after ClientHello"},
		{"stayed", func(*net.TCPConn) {}, "closed silently by the client, after the server's Finished"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, far := tcp(t)
			server := NewConn(far, AtServer)
			server.Begin()
			client.Write(plainHello)
			io.ReadFull(server, make([]byte, len(plainHello)))
			tt.leave(client)
			if tt.name != "stayed" {
				awaitEnd(t, far)
			}
			server.Write(flight())
			if tt.name == "stayed" {
				io.ReadFull(client, make([]byte, len(flight())))
				client.CloseWrite()
			}
			server.Read(make([]byte, 1))
			if got := server.Stop(UseNone).DescribeEnd(); got != tt.want {
				t.Errorf("%s; want %s", got, tt.want)
			}
		})
	}
}

const tcpEstablished = 1 // of include/net/tcp_states.h, in the first byte of TCP_INFO

// awaitEnd waits until the client's end has arrived at c, and reads nothing.
func awaitEnd(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	established := true
	for established {
		runtime.Gosched()
		raw.Control(func(fd uintptr) {
			state, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
			established = err == nil && state&0xff == tcpEstablished
		})
	}
}

// smallWindow returns both ends of a connection whose client can receive some 4 KiB.
func smallWindow(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10) })
		return err
	}}
	near, err := dialer.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near.(*net.TCPConn), far.(*net.TCPConn)
}
