package server

import "testing"

func TestServerIsReachedWhereItListens(t *testing.T) {
	for address, want := range map[string]string{":25": "127.0.0.1:25", "[::]:25": "127.0.0.1:25", "localhost:2525": "127.0.0.1:2525", "192.0.2.25:25": "192.0.2.25:25", "[2001:db8::25]:25": "[2001:db8::25]:25"} {
		if got, ok := ReachedAt(address); !ok || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", address, got, ok, want)
		}
	}
}
