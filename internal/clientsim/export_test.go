package clientsim

import "testing"

// SearchOnly makes dir the only folder that is searched for servers after PATH.
func SearchOnly(t *testing.T, dir string) {
	usual := serverDirs
	serverDirs = []string{dir}
	t.Cleanup(func() { serverDirs = usual })
}
