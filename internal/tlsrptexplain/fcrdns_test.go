package tlsrptexplain

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A resolver that does not answer costs some seconds, however many addresses there are.
func TestReverseDNSIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var addrs []netip.Addr
		for i := range 10_000 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		silent := new(silentDNS)
		start := time.Now()
		if found := confirmedNames(t.Context(), silent, addrs); len(found) > 0 {
			t.Errorf("found %v", found)
		}
		if took := time.Since(start); took > lookupsTimeout || silent.queries.Load() > maxLookups {
			t.Errorf("took %v for %d queries", took, silent.queries.Load())
		}
	})
}

type silentDNS struct {
	fakeDNS
	queries atomic.Int64
}

func (s *silentDNS) LookupAddr(ctx context.Context, _ string) ([]string, error) {
	s.queries.Add(1)
	<-ctx.Done()
	return nil, ctx.Err()
}
