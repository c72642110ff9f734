package clientsim

import "testing"

// SearchOnly makes dir the one folder where servers are looked for besides PATH and the
// lab's own.
func SearchOnly(t *testing.T, dir string) {
	usual := serverDirs
	serverDirs = []string{dir}
	t.Cleanup(func() { serverDirs = usual })
}
