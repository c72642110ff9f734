package clientsim

import (
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// A server is one that can play.
type server struct {
	Server
	find  func(program string) (path string, err error) // where its programs are; nil: it has none
	start func(*testpeer.Stage, *testcert.Pair) (addr string)
}
