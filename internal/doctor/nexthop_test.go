package doctor

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/config"
	"postern/internal/probe"
)

// A backend is an SMTP server with faults.
type backend struct {
	xclient bool
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
		problems []string
	}{
		{"right", backend{xclient: true}, "smtp://ADDR", nil},
		{"relays", backend{xclient: true, relays: true}, "smtp://ADDR", []string{"open-relay: The next hop relays mail from Postern to any domain"}},
		{"postmaster unknown", backend{xclient: true, refuses: "postmaster@example.net"}, "smtp://ADDR",
			[]string{"recipients: The next hop refuses mail for postmaster@example.net"}},
		{"sender not shown", backend{}, "smtp://ADDR", []string{"address: The next hop does not learn the sender's address: it does not offer XCLIENT"}},
		{"down", backend{}, "smtp://" + closed.Addr().String(), []string{"next-hop: The next hop smtp://" + closed.Addr().String() + " does not take mail; senders are deferred"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := strings.Replace(tt.url, "ADDR", tt.backend.start(t), 1)
			e := &examination{config: load(t, "hostname = 'mx.example.org'\ndomains = ['example.org', 'example.net']\nnext-hop = '"+url+"'\ndata = '"+t.TempDir()+"'\n")}
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
