package persona

import (
	"net"

	"golang.org/x/sys/unix"
)

// receivedBy returns what the kernel has received on c; ok is false if that is not known.
func receivedBy(c net.Conn) (r received, ok bool) {
	tcp := underlying(c)
	if tcp == nil {
		return r, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return r, false
	}
	var info *unix.TCPInfo
	if failed := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); failed != nil || err != nil || info.Advmss == 0 {
		return r, false
	}
	return received{int(info.Bytes_received), int(info.Data_segs_in), int(info.Advmss)}, true
}
