package doctor

import (
	"bufio"
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/config"
	"postern/internal/listening"
	"postern/internal/nexthop/relay"
	"postern/internal/probe"
)

// A backend is an SMTP server with faults.
type backend struct {
	xclient bool
	ipv4    bool // takes no IPv6 address by XCLIENT, as a Postfix with inet_protocols = ipv4
	relays  bool
	refuses string // the recipient that it does not take
}

// start returns its address.
func (b backend) start(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(conn)
		}
	}()
	return listener.Addr().String()
}

func (b backend) serve(conn net.Conn) {
	defer conn.Close()
	fmt.Fprint(conn, "220 backend.test ESMTP\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		fmt.Fprint(conn, b.reply(strings.ToUpper(lines.Text()))+"\r\n")
	}
}

func (b backend) reply(command string) string {
	verb, _, _ := strings.Cut(command, " ")
	switch {
	case verb == "EHLO" && b.xclient:
		return "250-backend.test\r\n250 XCLIENT NAME ADDR PROTO HELO"
	case verb == "XCLIENT" && b.ipv4 && strings.Contains(command, "ADDR=IPV6:"):
		return "501 5.5.4 Bad ADDR syntax: IPV6:::1"
	case verb == "XCLIENT":
		return "220 backend.test ESMTP"
	case verb == "RCPT" && strings.Contains(command, "@EXAMPLE.COM>") && !b.relays:
		return "554 5.7.1 Relay access denied"
	case verb == "RCPT" && b.refuses != "" && strings.Contains(command, strings.ToUpper(b.refuses)):
		return "550 5.1.1 User unknown"
	case verb == "QUIT":
		return "221 Bye"
	}
	return "250 Ok"
}

// load loads a configuration.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, config.Flags{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFaultsOfTheNextHopAreFound(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, tt := range []struct {
		name     string
		backend  backend
		url      string // with ADDR
		listen   string // empty: on loopback
		problems []string
	}{
		{name: "right", backend: backend{xclient: true}, url: "smtp://ADDR", listen: "[::]:25"},
		{name: "relays", backend: backend{xclient: true, relays: true}, url: "smtp://ADDR", problems: []string{"open-relay: The next hop relays mail from Postern to any domain"}},
		{name: "postmaster unknown", backend: backend{xclient: true, refuses: "postmaster@example.net"}, url: "smtp://ADDR",
			problems: []string{"recipients: The next hop refuses mail for postmaster@example.net"}},
		{name: "sender not shown", url: "smtp://ADDR", problems: []string{"address: The next hop does not learn the sender's address: it does not offer XCLIENT"}},
		{name: "no IPv6", backend: backend{xclient: true, ipv4: true}, url: "smtp://ADDR", listen: "[::]:25",
			problems: []string{"ipv6: The next hop takes no mail of senders with IPv6 addresses"}},
		{name: "no IPv6, without senders that have it", backend: backend{xclient: true, ipv4: true}, url: "smtp://ADDR", listen: "192.0.2.25:25"},
		{name: "down", url: "smtp://" + closed.Addr().String(), problems: []string{"next-hop: The next hop smtp://" + closed.Addr().String() + " does not take mail; senders are deferred"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := strings.Replace(tt.url, "ADDR", tt.backend.start(t), 1)
			e := &examination{config: load(t, "hostname = 'mx.example.org'\ndomains = ['example.org', 'example.net']\nnext-hop = '"+url+"'\nlisten = ['"+cmp.Or(tt.listen, "127.0.0.1:25")+"']\ndata = '"+t.TempDir()+"'\n")}
			e.nextHop(t.Context())
			checkProblems(t, e.found, tt.problems)
		})
	}
}

// checkProblems checks the findings that need somebody, and that each says what to do.
func checkProblems(t *testing.T, found []probe.Finding, want []string) {
	t.Helper()
	var got []string
	for _, f := range found {
		if f.Severity >= probe.Unclear {
			got = append(got, f.ID+": "+f.Title)
			if len(f.Advice) == 0 {
				t.Errorf("%s: no remedy", f.ID)
			}
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A port that other machines can reach is found by any name of this machine, as is one that they
// cannot.
func TestPortOfTheNextHopIsExaminedByName(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0:10025":   "exposed: Other machines can reach the port of the next hop, 0.0.0.0:10025",
		"127.0.0.1:10025": "",
	} {
		socket := listening.Socket{Address: netip.MustParseAddrPort(address), Process: listening.Process{ID: 7, Name: "master"}}
		e := &examination{sockets: []listening.Socket{socket}}
		e.exposed(relay.Config{Network: "tcp", Address: "localhost:10025"})
		if len(e.found) != 1 {
			t.Fatalf("%s: found %v", address, e.found)
		}
		var problems []string
		if want != "" {
			problems = []string{want}
		}
		checkProblems(t, e.found, problems)
	}
}
