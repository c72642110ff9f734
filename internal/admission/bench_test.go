package admission

import (
	"net/netip"
	"testing"
)

// What a connection costs the limiter: of a known address, and of a new one while as many
// networks are counted as may be.
func BenchmarkConnect(b *testing.B) {
	quotas := Quotas{Total: Quota{Connections: 1e9, Starts: 1e9}, PerNetwork: Quota{Connections: 1e9, Starts: 1}}
	b.Run("known", func(b *testing.B) {
		l, from := New(), netip.MustParseAddr("192.0.2.1")
		for b.Loop() {
			l.Connect(from, quotas)
			l.Disconnect(from)
		}
	})
	b.Run("new", func(b *testing.B) {
		l, i := New(), 0
		for b.Loop() {
			i++
			l.AllowStart(v6(i, i>>3, i), quotas)
		}
	})
}
