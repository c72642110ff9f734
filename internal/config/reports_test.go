package config

import "testing"

func TestAddressForReports(t *testing.T) {
	for _, tt := range []struct {
		addresses    []string
		domain, want string
	}{
		{nil, "example.org", "tls-reports@example.org"},
		{[]string{"first@example.net", "Second@Example.org"}, "example.org", "Second@example.org"},
		{[]string{"first@Example.net"}, "example.org", "first@example.net"},
		{[]string{"first@example.net", "second@bücher.example"}, "xn--bcher-kva.example", "second@xn--bcher-kva.example"},
	} {
		if got := (Reports{Addresses: tt.addresses}).AddressFor(tt.domain); got != tt.want {
			t.Errorf("%q, of %s: %s, want %s", tt.addresses, tt.domain, got, tt.want)
		}
	}
}
