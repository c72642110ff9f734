package testpeer

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
)

// A Recording is a packet capture in progress.
type Recording struct {
	// File is the path of the pcap file.
	File string

	addr   string
	daemon *daemon
}

// StartTCPDump captures packets on loopback from and to the port of addr. Args are further
// arguments of tcpdump, such as "-s 200".
func StartTCPDump(t T, addr string, args ...string) *Recording {
	t.Helper()
	requireRoot(t, "tcpdump")
	_, port := splitAddr(t, addr)
	dir := newFolder(t)
	r := &Recording{File: dir.path("capture.pcap"), addr: addr}
	// With -U and immediate mode a packet is in the file at once. The kernel's buffer of 32 MiB
	// (-B) has slots of the snap length. Without -Z tcpdump writes as a user without access.
	usual := []string{"-i", "lo", "-n", "-U", "--immediate-mode", "-B", "32768", "-s", "65535", "-Z", "root", "-w", r.File}
	args = append(usual, args...)
	r.daemon = startDaemon(t, "tcpdump", dir, exec.Command(program(t, "tcpdump"), append(args, "port", port)...))
	awaitOutput(t, r.daemon, "listening on")
	return r
}

// Stop ends the capture and returns the file's content. It sends a datagram and waits until the
// file has it, so that the capture is complete.
func (r *Recording) Stop(t T) []byte {
	t.Helper()
	marker := []byte("the capture ends here: " + r.File)
	conn, err := net.Dial("udp", r.addr)
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	defer conn.Close()
	var content []byte
	await(t, r.daemon, "the capture's last packet", func() error {
		_, _ = conn.Write(marker) // refused: no process listens there
		content, err = os.ReadFile(r.File)
		if err == nil && !bytes.Contains(content, marker) {
			err = fmt.Errorf("%d bytes so far", len(content))
		}
		return err
	})
	r.daemon.stop()
	return content
}
