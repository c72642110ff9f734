package main

import (
	"fmt"
	"os"
	"path/filepath"

	"postern/internal/testcert"
)

// posternConfig raises what would bound a load that comes from one network,
// 127.0.0.0/24, and lets a message of 50 MiB with its trace fields in. All
// else is as by default, the log at INFO included.
const posternConfig = `
hostname = "mx.test"
domains = ["localhost"]
listen = [%q]
data = %q
next-hop = %q
certificate = [{cert = %q, key = %q}]

[limits]
message-size = "64MiB"
session-time = "24h"

[limits.total]
connections = 20000
handshakes = "1000000/s"
bytes = "100GiB/s"

[limits.network]
connections = 20000
handshakes = "1000000/s"
bytes = "100GiB/s"
`

// postern is a Postern that serves.
type postern struct {
	*process
	maildir string
}

// startPostern starts a Postern that hands its mail to a next hop: "maildir" or a URL.
func startPostern(s *stage, cert *testcert.Pair, nextHop string) postern {
	return startProgram(s, build(s, "./cmd/postern"), cert, nextHop)
}

// startProgram is startPostern for a Postern that is built already.
func startProgram(s *stage, program string, cert *testcert.Pair, nextHop string) postern {
	dir, addr := s.TempDir(), freeAddr(s)
	config := filepath.Join(dir, "postern.toml")
	text := fmt.Sprintf(posternConfig, addr, dir, nextHop, cert.CertFile, cert.KeyFile)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		s.Fatalf("%v", err)
	}
	process := startProcess(s, addr, program, "serve", "--config", config)
	return postern{process, filepath.Join(dir, "maildir")}
}
