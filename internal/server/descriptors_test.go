package server

import (
	"log/slog"
	"strings"
	"testing"

	"postern/internal/config"
	"postern/internal/nexthop/relay"
)

// With fewer descriptors than the configured connections need, senders over the limit get a
// reply, because there is still one to accept them with.
func TestConnectionsAreLimitedToTheDescriptors(t *testing.T) {
	off := config.Dashboard{Listen: config.Off}
	alone := config.Config{Dashboard: off}
	pages := config.Config{Dashboard: config.Dashboard{Listen: ":8025"}}
	web := config.Config{Web: config.Web{Listen: []string{":443"}}, Dashboard: off}
	server := config.Config{NextHop: &relay.Config{}, Dashboard: off}
	few := config.Config{NextHop: &relay.Config{Connections: 20}, Dashboard: off}
	for _, tt := range []struct {
		configured, descriptors int
		config                  config.Config
		want                    int
	}{
		{0, 32768, alone, 0}, // the default of 10,000
		{0, 32768, web, 0},
		{0, 20000, alone, 9850},
		{0, 20000, pages, 9700},
		{0, 20000, web, 9350},
		{20000, 32768, alone, 16234},
		{100, 1024, alone, 100},
		{0, 1024, web, 256},
		{0, 20000, server, 0},
		{0, 10000, server, 9620},
		{0, 10000, few, 9680},
		{0, 256, alone, 64},
		{0, 0, alone, 1},
	} {
		var log strings.Builder
		s := &Server{config: &tt.config, log: slog.New(slog.NewTextHandler(&log, nil))}
		s.config.Limits.Total.Connections = tt.configured
		if got := s.limits(tt.descriptors).Total.Connections; got != tt.want {
			t.Errorf("with %d descriptors and %d connections configured: %d connections, want %d", tt.descriptors, tt.configured, got, tt.want)
		}
		if lowered := tt.want != tt.configured; lowered != strings.Contains(log.String(), "allows fewer connections") {
			t.Errorf("with %d descriptors the log says %q", tt.descriptors, &log)
		}
	}
	if openFiles() < 64 {
		t.Errorf("this process may have %d open files", openFiles())
	}
}
