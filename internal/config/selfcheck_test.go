package config

import (
	"testing"
	"time"
)

func TestServerThatIsTriedOutHasNoDailyCheck(t *testing.T) {
	for name, test := range map[string]struct {
		c     Config
		after time.Duration
		daily bool
	}{
		"a public server":           {Config{Hostname: "mx.example.org", Listen: []string{":25"}}, 7 * time.Hour, true},
		"loopback":                  {Config{Hostname: "mx.example.org", Listen: []string{"127.0.0.1:2525", "[::1]:2525"}}, 0, false},
		"a bare name":               {Config{Hostname: "mailhost", Listen: []string{":25"}}, 0, false},
		"a name of a local network": {Config{Hostname: "mail.local", Listen: []string{":25"}}, 0, false},
		"off":                       {Config{Hostname: "mx.example.org", Listen: []string{":25"}, SelfCheck: SelfCheck{At: Off}}, 0, false},
		"loopback with a time":      {Config{Hostname: "mx.example.org", Listen: []string{"127.0.0.1:2525"}, SelfCheck: SelfCheck{At: "23:30"}}, 23*time.Hour + 30*time.Minute, true},
	} {
		after, off := test.c.SelfCheckTime()
		if after != test.after || (off == "") != test.daily {
			t.Errorf("%s: %v, off %q", name, after, off)
		}
	}
}
