package admission

import "testing"

// What operators set is for a network and in total; the other limits follow.
func TestQuotasThatFollow(t *testing.T) {
	quotas := Quotas{
		Total:      Quota{Connections: 10_000, Starts: 1000, Bytes: 100 << 20},
		PerNetwork: Quota{Connections: 200, Starts: 100, Bytes: 20 << 20},
	}
	small := Quotas{
		Total:      Quota{Connections: 10, Starts: 4, Bytes: 400},
		PerNetwork: Quota{Connections: 5, Starts: 2, Bytes: 200},
	}
	for _, tt := range []struct {
		name      string
		got, want Quota
	}{
		{"address", quotas.of(address), Quota{50, 25, 5 << 20}},
		{"network", quotas.of(network), Quota{200, 100, 20 << 20}},
		{"wide network", quotas.of(wide), Quota{2500, 250, 25 << 20}},
		{"all", quotas.of(everything), Quota{10_000, 1000, 100 << 20}},
		{"address of a small server", small.of(address), Quota{2, 0.5, 50}},
		{"wide network of a small server", small.of(wide), Quota{5, 2, 200}},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, tt.got, tt.want)
		}
	}
}
