package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressOfAProbeCountsTheVisitsOfAllAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		shown := beginProgress(&screen)
		p := &probeProgress{told: shown, addresses: make(map[netip.AddrPort]struct{ over, all int })}
		first, second := netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("[2001:db8::1]:25")
		for _, tt := range []struct {
			addr      netip.AddrPort
			over, all int
			want      string
		}{
			{first, 2, 30, "postern: probing 192.0.2.1:25, 2 of 30 visits are over"},
			{second, 1, 10, "postern: probing 2 addresses, 3 of 40 visits are over"},
			{first, 1, 30, "postern: probing 2 addresses, 3 of 40 visits are over"}, // comes late
		} {
			p.visited(tt.addr, tt.over, tt.all)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := screen.String(); !strings.HasSuffix(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		}
		shown.Done()
	})
}
