package sessionticket

import (
	"net"
	"testing"
)

// sink is a connection that takes everything and gives what is asked for.
type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error) { return len(b), nil }
func (sink) Read(b []byte) (int, error)  { return len(b), nil }

// Before TLS and once the ticket has gone, the conn costs no memory.
func TestNoAllocationWithoutTicket(t *testing.T) {
	before := new(Gate).Conn(sink{})
	after, _, conclude := holding(t, new(scripted), false)
	conclude()
	after.Write(record(3))
	after.Conn = sink{}
	reply := record(100)
	for name, c := range map[string]net.Conn{"before TLS": before, "after the ticket": after} {
		got := testing.AllocsPerRun(100, func() {
			c.Write(reply)
			c.Read(reply)
		})
		if got != 0 {
			t.Errorf("%s: %v allocations for a Read and a Write", name, got)
		}
	}
}
