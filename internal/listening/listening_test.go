package listening

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestSocketsOfThisProcessAreFound(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil && strings.Contains(address, "::1") {
			continue // without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		all, err := Sockets()
		if err != nil {
			t.Fatal(err)
		}
		want := listener.Addr().(*net.TCPAddr).AddrPort()
		found, ok := At(all, netip.AddrPortFrom(want.Addr().Unmap(), want.Port()))
		if !ok || found.Process.ID != os.Getpid() || found.Process.Name == "" || found.Process.Path == "" {
			t.Errorf("%s: %v, %v, want process %d", want, found, ok, os.Getpid())
		}
	}
}

// A socket that systemd has passed is held by systemd, by the program, and by its children: it
// belongs to the program. Sockets of other states, and those whose owner cannot be seen, have
// none.
func TestSocketsBelongToTheProgramThatListens(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	proc := t.TempDir()
	const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	row := func(address, state, inode string) string {
		return "   0: " + address + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000     0        0 " + inode + " 1 0 100 0 0 10 0\n"
	}
	words := func(ip string) string { // as Linux prints an address on this machine
		bytes, text := netip.MustParseAddr(ip).AsSlice(), ""
		for i := 0; i < len(bytes); i += 4 {
			text += fmt.Sprintf("%08X", binary.NativeEndian.Uint32(bytes[i:]))
		}
		return text
	}
	write := func(path, content string) {
		t.Helper()
		path = filepath.Join(proc, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("self/net/tcp", header+row(words("192.0.2.25")+":0019", "0A", "100")+row(words("0.0.0.0")+":01BB", "0A", "101")+row(words("192.0.2.25")+":0019", "01", "102"))
	process := func(id, name, path string, inodes ...string) {
		t.Helper()
		write(id+"/comm", name+"\n")
		write(id+"/fd/0", "")
		links := map[string]string{"exe": path}
		for i, inode := range inodes {
			links[fmt.Sprintf("fd/%d", i+3)] = "socket:[" + inode + "]"
		}
		for name, to := range links {
			if err := os.Symlink(to, filepath.Join(proc, id, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	process("1", "systemd", "/usr/lib/systemd/systemd", "100")
	process("60", "child", "/usr/local/bin/child", "100", "102")
	process("50", "postern", "/usr/local/bin/postern (deleted)", "100")

	check := func(want ...string) {
		t.Helper()
		all, err := sockets(proc)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range all {
			got = append(got, fmt.Sprint(s.Address, " ", s.Process))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check("0.0.0.0:443 a program of another user", "192.0.2.25:25 Postern (process 50)") // without IPv6
	write("self/net/tcp6", header+row(words("2001:db8::25")+":0019", "0A", "103"))
	check("0.0.0.0:443 a program of another user", "192.0.2.25:25 Postern (process 50)", "[2001:db8::25]:25 a program of another user")

	all, _ := sockets(proc)
	if on := On(all, 25); len(on) != 2 || !on[0].Process.Replaced() || on[1].Process.Replaced() {
		t.Errorf("on port 25: %v", on)
	}
	write("self/net/tcp", header+row("zz:0019", "0A", "100"))
	if all, err := sockets(proc); err == nil {
		t.Errorf("a table that cannot be read: %v", all)
	}
}

func TestSpecificSocketTakesTheConnection(t *testing.T) {
	socket := func(address string) Socket { return Socket{Address: netip.MustParseAddrPort(address)} }
	all := []Socket{socket("127.0.0.1:25"), socket("192.0.2.25:25"), socket("[::]:25"), socket("0.0.0.0:25"), socket("0.0.0.0:26"), socket("[::1]:27")}
	for _, tt := range []struct{ to, want string }{
		{"192.0.2.25:25", "192.0.2.25:25"},
		{"192.0.2.26:25", "0.0.0.0:25"},
		{"[2001:db8::1]:25", "[::]:25"},
		{"[::ffff:192.0.2.25]:25", "192.0.2.25:25"},
		{"[2001:db8::1]:26", ""},
		{"127.0.0.1:27", ""},
		{"[::1]:27", "[::1]:27"},
	} {
		got, ok := At(all, netip.MustParseAddrPort(tt.to))
		if ok != (tt.want != "") || ok && got.Address.String() != tt.want {
			t.Errorf("to %s: %v, %v, want %s", tt.to, got.Address, ok, tt.want)
		}
	}
}

func TestProgramsHaveTheNamesThatPeopleKnow(t *testing.T) {
	for _, tt := range []struct {
		process Process
		want    string
	}{
		{Process{ID: 1, Name: "master", Path: "/usr/lib/postfix/sbin/master"}, "Postfix"},
		{Process{ID: 1, Name: "master", Path: "/usr/libexec/other/master"}, "master"},
		{Process{ID: 1, Name: "exim4", Path: "/usr/sbin/exim4 (deleted)"}, "Exim"},
		{Process{ID: 1, Name: "postern"}, "Postern"},
		{Process{ID: 1, Name: "dovecot", Path: "/usr/sbin/dovecot"}, "Dovecot"},
		{Process{ID: 1, Name: "smtpd", Path: "/usr/sbin/smtpd"}, "OpenSMTPD"},
		{Process{ID: 1, Name: "haraka"}, "haraka"},
	} {
		if got := tt.process.Program(); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.process, got, tt.want)
		}
	}
}
