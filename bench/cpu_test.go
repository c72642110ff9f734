package main

import (
	"net"
	"os"
	"testing"
	"time"
)

func TestMeterFindsTheServerByItsAddress(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	m, err := newMeter(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if m.root != os.Getpid() {
		t.Errorf("found process %d, want %d", m.root, os.Getpid())
	}
	if _, err := m.read(); err != nil {
		t.Error(err)
	}
}

func TestStatHasTheTimesOfChildrenThatHaveEnded(t *testing.T) {
	const line = "42 (a name) with) S 7 42 42 0 -1 4194304 100 0 0 0 5 6 10 20 20 0 1 0 100 0 0"
	p, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	if p.parent != 7 || p.cpu != 410*time.Millisecond {
		t.Errorf("parent %d, CPU %v, want 7 and 410ms", p.parent, p.cpu)
	}
}
