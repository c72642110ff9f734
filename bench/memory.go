package main

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"postern/bench/load"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// measureIdle opens many sessions that send nothing after EHLO, and measures Postern's memory
// for each.
func measureIdle(s *testpeer.Scope, p plan, r *result) error {
	raiseFiles(s, uint64(p.idle)+1000)
	cert := testcert.New(s, testcert.Options{})
	own := startPostern(s, cert, "smtp://"+testpeer.StartSMTPSink(s).Addr) // a Maildir may need as many files again
	before := own.resident(s)
	sessions, err := openMany(p.idle, load.Load{Addr: own.addr, Certificate: cert.TLS.Leaf}.Dial)
	defer closeAll(sessions)
	if err != nil {
		return err
	}
	grown := own.resident(s) - before
	session := bytes(grown / int64(p.idle))
	r.header("idle TLS sessions", "before", "with them", "a session")
	r.row(p.idle, bytes(before), bytes(before+grown), session)
	atMost(r, "memory of an idle TLS session", session, 25<<10)
	return nil
}

// raiseFiles raises the limit of open files for this process and its children.
func raiseFiles(s *testpeer.Scope, files uint64) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		s.Fatalf("%v", err)
	}
	limit.Cur, limit.Max = max(limit.Cur, files), max(limit.Max, files)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		s.Fatalf("raising the limit of open files to %d: %v; run as root", files, err)
	}
}

// measureHeld opens as many connections as the server takes, each with something unfinished, and
// measures the memory that it holds for strangers: at most as much as it is said to need.
func measureHeld(s *testpeer.Scope, p plan, r *result) error {
	raiseFiles(s, uint64(p.idle)+1000)
	cert := testcert.New(s, testcert.Options{})
	program, sink := build(s, "./cmd/postern"), testpeer.StartSMTPSink(s)
	r.header("unfinished", "connections", "before", "at most", "a connection")
	for _, hold := range []load.Hold{load.LongHello, load.ShortHello, load.Record, load.CommandLine} {
		own := startProgram(s, program, cert, "smtp://"+sink.Addr)
		own.resetPeak(s)
		before := own.resident(s)
		l := load.Load{Addr: own.addr, Certificate: cert.TLS.Leaf}
		held, err := openMany(p.idle, func() (*load.Conn, error) { return hold.Open(l) })
		most := own.peak(s)
		closeAll(held)
		own.stop()
		if err != nil {
			return err
		}
		r.row(hold, p.idle, bytes(before), bytes(most), bytes((most-before)/int64(p.idle)))
		atMost(r, fmt.Sprintf("memory of %d connections, each with an unfinished %v", p.idle, hold), bytes(most), 1<<30)
	}
	return nil
}

// openMany opens connections, a few at a time.
func openMany(count int, dial func() (*load.Conn, error)) ([]*load.Conn, error) {
	const atOnce = 20
	var mu sync.Mutex
	var sessions []*load.Conn
	var failed error
	var dialers sync.WaitGroup
	for i := range atOnce {
		dialers.Go(func() {
			for range (count + i) / atOnce {
				conn, err := dial()
				mu.Lock()
				if err != nil {
					failed = fmt.Errorf("session %d: %w", len(sessions)+1, err)
				} else {
					sessions = append(sessions, conn)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	dialers.Wait()
	return sessions, failed
}

func closeAll(sessions []*load.Conn) {
	for _, conn := range sessions {
		conn.Close()
	}
}

// largeSize is the size of the large message.
const largeSize = 50 << 20

// measureLarge sends large messages through Postern and measures its peak memory and its CPU
// time, and the floor's. Small messages come first, so that memory allocated once does not count.
func measureLarge(s *testpeer.Scope, p plan, r *result) error {
	cert := testcert.New(s, testcert.Options{})
	sink := testpeer.StartSMTPSink(s)
	own := startPostern(s, cert, "smtp://"+sink.Addr)
	least := startFloor(s, cert, sink.Addr)
	small := p.server("Postern", own.addr, cert.TLS.Leaf, countedBy(sink))
	if _, err := small.measure(pattern{1, 20, false}); err != nil {
		return err
	}
	r.header("message", "before", "at most", "growth", "CPU a MiB", "CPU a MiB, floor", "to floor")
	var most bytes
	for range p.rounds {
		own.resetPeak(s)
		before := own.resident(s)
		cpu, err := sendLarge(own.addr, cert)
		if err != nil {
			return err
		}
		growth := bytes(own.peak(s) - before)
		floor, err := sendLarge(least.addr, cert)
		if err != nil {
			return err
		}
		r.row(bytes(largeSize), bytes(before), bytes(before)+growth, growth, cpu, floor, factor(ratio(cpu, floor)))
		most = max(most, growth)
	}
	atMost(r, "growth of memory by a 50 MiB message, most of the rounds", most, 2<<20)
	return nil
}

// sendLarge sends large messages, one after another, and returns the CPU time of the server for
// each MiB. One alone takes few of the ticks in which CPU time is read.
func sendLarge(addr string, cert *testcert.Pair) (time.Duration, error) {
	const count = 4
	cpu, err := metered(addr, func() error {
		for range count {
			if err := (load.Load{Addr: addr, Certificate: cert.TLS.Leaf}).SendLarge(largeSize); err != nil {
				return err
			}
		}
		return nil
	})
	return each(cpu, count*largeSize>>20), err
}
