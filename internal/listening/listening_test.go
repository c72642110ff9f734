package listening

import (
	"net"
	"net/netip"
	"os"
	"runtime"
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
		{Process{ID: 1, Name: "haraka"}, "haraka"},
	} {
		if got := tt.process.Program(); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.process, got, tt.want)
		}
	}
}
