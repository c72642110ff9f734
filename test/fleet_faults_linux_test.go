package test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A fleetFault is what can happen to a fleet.
type fleetFault struct {
	name  string
	rare  bool // the test is one of `make long`
	begin func(*fleetNetwork) (end func())
	alone []int // the hosts that cannot share then
}

var (
	noHost   []int
	allHosts = []int{0, 1, 2, 3}
)

var fleetFaults = []fleetFault{
	{"a host cannot reach NATS", true, func(f *fleetNetwork) func() {
		f.net.part(f.mx[:1], f.n)
		return f.net.heal
	}, allHosts[:1]},

	{"the network is cut in halves", false, func(f *fleetNetwork) func() {
		f.net.part(append(slices.Clone(f.mx[:2]), f.n[0]), append(slices.Clone(f.mx[2:]), f.n[1:]...))
		return f.net.heal
	}, allHosts[:2]},

	{"no NATS server reaches another", true, func(f *fleetNetwork) func() {
		f.net.part(f.n, f.n)
		return f.net.heal
	}, allHosts},

	{"the leading NATS server reaches hosts only", false, func(f *fleetNetwork) func() {
		leader := f.leader()
		f.net.part(f.n[leader:leader+1], f.n)
		return f.net.heal
	}, noHost},

	{"a NATS server's cable is pulled", true, func(f *fleetNetwork) func() {
		leader := f.leader()
		f.net.part(f.n[leader:leader+1], f.net.nodes)
		return f.net.heal
	}, noHost},

	{"two hosts do not hear NATS", false, func(f *fleetNetwork) func() {
		f.net.cut(f.n, f.mx[2:])
		return f.net.heal
	}, allHosts[2:]},

	{"NATS does not hear two hosts", true, func(f *fleetNetwork) func() {
		f.net.cut(f.mx[2:], f.n)
		return f.net.heal
	}, allHosts[2:]},

	{"the leading NATS server and a host are killed", false, func(f *fleetNetwork) func() {
		f.requireSaved(3) // a crash may lose the last two seconds
		f.requireAllEvents()
		leader := f.leader()
		f.nats[leader].Kill()
		f.hosts[3].kill()
		f.hosts[3] = f.startHost(3, f.hosts[3].data)
		return f.nats[leader].Start
	}, noHost},

	{"all NATS servers are killed", true, func(f *fleetNetwork) func() {
		for _, s := range f.nats {
			s.Kill()
		}
		return func() {
			for _, s := range f.nats {
				s.Start()
			}
		}
	}, allHosts},

	{"the disk of a NATS server is full", true, func(f *fleetNetwork) func() {
		return f.fill(f.leader())
	}, noHost},

	{"the disks of all NATS servers are full", false, func(f *fleetNetwork) func() {
		return f.fill(0, 1, 2)
	}, allHosts},
}

// fill fills the disks of NATS servers. In the end there is space, and they are restarted.
func (f *fleetNetwork) fill(servers ...int) (end func()) {
	f.t.Helper()
	for _, i := range servers {
		// What cannot be written is what it is about.
		_ = os.WriteFile(filepath.Join(f.disks[i], "filler"), make([]byte, 32<<20), 0o600)
	}
	return func() {
		for _, i := range servers {
			if err := os.Remove(filepath.Join(f.disks[i], "filler")); err != nil {
				f.t.Error(err)
			}
			f.nats[i].Stop()
			f.nats[i].Start()
		}
	}
}

// Mail does not wait and none is lost, whatever fails between hosts and NATS. Each host goes on with
// what it has and learns by itself. Once the fault is over all share again, without a person: a
// sender resumes at every host, and a strict sender that failed at one delivers at every other at its
// first attempt.
func TestFleetOutlivesFaults(t *testing.T) {
	for _, fault := range fleetFaults {
		t.Run(fault.name, func(t *testing.T) {
			if fault.rare && os.Getenv("POSTERN_LONG") != "1" {
				t.Skip("only with POSTERN_LONG=1")
			}
			t.Parallel()
			f := startFleetNetwork(t)
			session := f.startHosts(f.directly)
			f.requireResumed(session)

			end := fault.begin(f)
			f.meetStrictSenders()
			for _, i := range fault.alone {
				f.hosts[i].await(0, `msg="fleet unreachable; this host goes on alone and tries again"`)
			}
			f.requireResumed(session)
			f.meetStrictSenders()
			if len(fault.alone) == 0 {
				f.requireKnown()
			}
			f.requireLogged(1)
			end()

			f.requireResumed(session)
			f.meetStrictSenders()
			f.requireKnown()
			f.requireAllMail()
			f.requireAllEvents()
			f.requireShared(2) // the end can cost NATS a leader, too
		})
	}
}

// A host behind a line that is slow, narrow and loses packets shares all the same.
func TestHostBehindABadLineShares(t *testing.T) {
	t.Parallel()
	f := startFleetNetwork(t)
	line := f.net.add("10.254.8.31")
	f.net.part(f.mx[3:], f.n) // but by the line
	f.net.lose(10, []*node{line}, f.mx[3:])
	f.net.lose(10, f.mx[3:], []*node{line})
	f.mx[3].run(t, "tc qdisc add dev eth0 root tbf rate 64kbit burst 4kb latency 1s")
	slow := slowLine{at: line, server: net.JoinHostPort(f.n[0].ip, "4222"), takes: 200 * time.Millisecond}
	slow.start(t, "4222")
	f.startHosts(func(host int) []string {
		if host == 3 {
			return []string{"nats://mx:secret@" + net.JoinHostPort(line.ip, "4222")}
		}
		return f.directly(host)
	})
	f.meetStrictSenders()
	f.requireKnown()
	f.requireShared(0)
	f.requireAllMail()
	f.requireAllEvents()
}
