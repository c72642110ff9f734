//go:build !linux

package persona

import "net"

// receivedBy knows nothing here: see [segmentConn].
func receivedBy(net.Conn) (r received, ok bool) { return r, false }
