//go:build !linux

package handshake

import "net"

// unacknowledged is known on Linux only.
func unacknowledged(net.Conn) (int, bool) { return 0, false }

// pendingEnd is known on Linux only.
func pendingEnd(net.Conn) error { return nil }
