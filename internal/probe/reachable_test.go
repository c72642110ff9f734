package probe

import (
	"context"
	"testing"

	"postern/internal/persona"
)

// Many networks have no IPv6: that is a notice while IPv4 answers. A target without IPv4 is
// unclear.
func TestUnreachableIPv6(t *testing.T) {
	t.Parallel()
	p := newTestDomain(t)
	one, _ := persona.Find(healthyID)
	for target, tt := range map[string]struct {
		records []string
		want    Severity
	}{
		"both.test": {[]string{"both.test. A 127.0.0.1", "both.test. AAAA ::1"}, Notice},
		"six.test":  {[]string{"six.test. AAAA ::1"}, Unclear},
	} {
		prober := &Prober{Port: p.port, Personas: []*persona.Persona{one}, Resolver: zone(t, false, tt.records...)}
		r, err := prober.Probe(context.Background(), target)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, f := range r.AllFindings() {
			if f.ID != "unreachable-ipv6" {
				continue
			}
			if found++; f.Severity != tt.want {
				t.Errorf("%s: %v, want %v", target, f.Severity, tt.want)
			}
		}
		if found != 1 {
			t.Errorf("%s: %d findings in %+v", target, found, r.AllFindings())
		}
	}
}
