// Package listening finds out which programs of this machine listen on which TCP ports.
//
//	sockets, err := listening.Sockets()
//	for _, s := range listening.On(sockets, 25) {
//		fmt.Println(s.Address, s.Process.Program())
//	}
//
// # Limits
//
// It reads /proc, so it works on Linux only, for the network namespace of this process. The
// programs of other users are found as root only. Whether a socket of [::] also takes IPv4
// connections cannot be seen: it is taken to do so.
package listening

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Socket is a TCP socket on which connections are accepted.
type Socket struct {
	Address netip.AddrPort // 0.0.0.0 or [::] is all addresses
	Process Process        // zero if it is not known
}

// A Process is what has opened a socket.
type Process struct {
	ID   int
	Name string // of its program, at most 15 bytes: "master"
	Path string // of its program; empty if it is not known
}

// programs are the names by which people know programs, by their file names.
var programs = map[string]string{
	"exim4": "Exim", "exim": "Exim", "dovecot": "Dovecot", "smtpd": "OpenSMTPD", "sendmail-mta": "sendmail",
	"postern": "Postern",
}

// Program returns the name by which people know the program; empty if it is not known.
func (p Process) Program() string {
	path, file := strings.TrimSuffix(p.Path, replaced), p.Name
	if path != "" {
		file = filepath.Base(path)
	}
	if file == "master" && strings.Contains(path, "/postfix/") {
		return "Postfix"
	}
	return cmp.Or(programs[file], file)
}

// replaced is what Linux adds to the path of a program whose file was removed or replaced.
const replaced = " (deleted)"

// Replaced reports whether the file of the program was removed or replaced since it started.
func (p Process) Replaced() bool { return strings.HasSuffix(p.Path, replaced) }

// String returns program and process ID, for people: "Postfix (process 612)".
func (p Process) String() string {
	if p.ID == 0 {
		return "a program of another user"
	}
	return fmt.Sprintf("%s (process %d)", p.Program(), p.ID)
}

// Takes reports whether connections to an address arrive at the socket.
func (s Socket) Takes(to netip.AddrPort) bool {
	own, ip := s.Address.Addr().Unmap(), to.Addr().Unmap()
	switch {
	case s.Address.Port() != to.Port():
		return false
	case own.IsUnspecified():
		return own.Is6() || ip.Is4()
	}
	return own == ip
}

// On returns the sockets of a port, in the order of their addresses.
func On(all []Socket, port uint16) (found []Socket) {
	for _, s := range all {
		if s.Address.Port() == port {
			found = append(found, s)
		}
	}
	return found
}

// At returns the socket at which connections to an address arrive: that of the address itself
// rather than one of all addresses.
func At(all []Socket, to netip.AddrPort) (found Socket, ok bool) {
	for _, s := range all {
		if s.Takes(to) && (!ok || s.specific() > found.specific()) {
			found, ok = s, true
		}
	}
	return found, ok
}

// specific is higher for a socket that the system prefers.
func (s Socket) specific() int {
	switch a := s.Address.Addr(); {
	case !a.IsUnspecified():
		return 2
	case a.Is4():
		return 1
	}
	return 0
}

// Sockets returns all listening sockets, in the order of their addresses. The error is that of
// a system without /proc.
func Sockets() ([]Socket, error) { return sockets("/proc") }

func sockets(proc string) ([]Socket, error) {
	found := make(map[string]netip.AddrPort) // by inode
	for i, name := range []string{"tcp", "tcp6"} {
		file, err := os.Open(filepath.Join(proc, "self/net", name))
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			continue // without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("listening: %w", err)
		}
		err = readTable(file, found)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("listening: %s: %w", name, err)
		}
	}
	processes := owners(proc, found)
	all := make([]Socket, 0, len(found))
	for inode, address := range found {
		all = append(all, Socket{address, processes[inode]})
	}
	slices.SortFunc(all, func(a, b Socket) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Process.ID, b.Process.ID))
	})
	return all, nil
}

// stateListen is the state of listening sockets in the table (TCP_LISTEN).
const stateListen = "0A"

// readTable adds the listening sockets of a table as in /proc/net/tcp (proc(5)) by their inodes.
func readTable(table io.Reader, found map[string]netip.AddrPort) error {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		columns := strings.Fields(lines.Text())
		if len(columns) < 10 || columns[3] != stateListen {
			continue
		}
		address, err := parseAddress(columns[1])
		if err != nil {
			return err
		}
		found[columns[9]] = address
	}
	return lines.Err()
}

// parseAddress parses an address of the table: words of 32 bits in the byte order of the
// machine, as hexadecimal numbers, and the port.
func parseAddress(text string) (netip.AddrPort, error) {
	words, port, _ := strings.Cut(text, ":")
	ip, err := hex.DecodeString(words)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if len(ip)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("address %q", text)
	}
	for i := 0; i < len(ip); i += 4 {
		binary.NativeEndian.PutUint32(ip[i:], binary.BigEndian.Uint32(ip[i:]))
	}
	addr, ok := netip.AddrFromSlice(ip)
	number, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), nil
}

// owners returns the processes that have the sockets open, by inode. Several may have one: its
// children, and systemd if it has passed the socket. The owner is the oldest that is not
// systemd.
func owners(proc string, sockets map[string]netip.AddrPort) map[string]Process {
	found := make(map[string]Process)
	folders, _ := filepath.Glob(filepath.Join(proc, "[0-9]*")) // the pattern is valid
	for _, folder := range folders {
		id, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		files, _ := os.ReadDir(filepath.Join(folder, "fd")) // those of other users cannot be read
		for _, file := range files {
			link, _ := os.Readlink(filepath.Join(folder, "fd", file.Name()))
			inode := strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")
			if _, ours := sockets[inode]; !ours {
				continue
			}
			if old := found[inode].ID; old == 0 || old == 1 || id > 1 && id < old {
				found[inode] = process(folder, id)
			}
		}
	}
	return found
}

func process(folder string, id int) Process {
	name, _ := os.ReadFile(filepath.Join(folder, "comm"))
	path, _ := os.Readlink(filepath.Join(folder, "exe"))
	return Process{ID: id, Name: strings.TrimSpace(string(name)), Path: path}
}
