package doctor

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"postern/internal/listening"
	"postern/internal/probe"
)

const listens = "hostname = 'mx.example.org'\ndomains = ['example.org']\nlisten = ['192.0.2.25:25', '[2001:db8::25]:25']\ndata = '"

var pid = strconv.Itoa(os.Getpid())

func socketOf(address, path string) listening.Socket {
	return listening.Socket{Address: netip.MustParseAddrPort(address), Process: listening.Process{ID: os.Getpid(), Name: filepath.Base(path), Path: path}}
}

func TestFaultsOfThePortsAreFound(t *testing.T) {
	const postern, postfix = "/usr/local/bin/postern", "/usr/lib/postfix/sbin/master"
	for _, tt := range []struct {
		name     string
		sockets  []listening.Socket
		problems []string
	}{
		{"right", []listening.Socket{socketOf("192.0.2.25:25", postern), socketOf("[2001:db8::25]:25", postern), socketOf("127.0.0.1:25", postfix)}, nil},
		{"all addresses", []listening.Socket{socketOf("[::]:25", postern)}, nil},
		{"passed by systemd", []listening.Socket{socketOf("[::]:25", "/usr/lib/systemd/systemd")}, nil},
		{"one missing", []listening.Socket{socketOf("192.0.2.25:25", postern)}, []string{"not-listening: Nothing listens on [2001:db8::25]:25 (STARTTLS)"}},
		{"replaced", []listening.Socket{socketOf("[::]:25", postern+" (deleted)")}, []string{"old-version: The running Postern is not the installed version"}},
		{"past Postern", []listening.Socket{socketOf("192.0.2.25:25", postern), socketOf("[2001:db8::25]:25", postern), socketOf("0.0.0.0:25", postfix)},
			[]string{"other-program: Postfix (process " + pid + ") takes mail at 0.0.0.0:25, past Postern"}},
		{"taken", []listening.Socket{socketOf("[::]:25", postfix)},
			[]string{"port-taken: Postfix (process " + pid + ") listens on 192.0.2.25:25 (STARTTLS), so Postern cannot", "port-taken: Postfix (process " + pid + ") listens on [2001:db8::25]:25 (STARTTLS), so Postern cannot"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &examination{config: load(t, listens+t.TempDir()+"'\n"), sockets: tt.sockets}
			e.process(t.Context())
			checkProblems(t, e.found, tt.problems)
		})
	}
}

// A program that somebody installed by hand runs on, whatever version a package installs.
func TestProgramBesideThePackageIsFound(t *testing.T) {
	packaged := filepath.Join(t.TempDir(), "postern")
	if err := os.WriteFile(packaged, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, problems := range map[string][]string{
		packaged: nil, "/usr/lib/systemd/systemd": nil, "/usr/local/bin/postern": {"old-version: The running Postern is not the installed version"},
	} {
		e := &examination{config: load(t, listens+t.TempDir()+"'\n"), packaged: packaged, sockets: []listening.Socket{socketOf("[::]:25", path)}}
		e.process(t.Context())
		checkProblems(t, e.found, problems)
	}
}

// A port for Postern that other machines can reach lets them claim any address.
func TestExposedPortOfTheNextHopIsFound(t *testing.T) {
	for _, tt := range []struct {
		listens  string
		problems []string
	}{
		{"127.0.0.1:10025", nil},
		{"0.0.0.0:10025", []string{"exposed: Other machines can reach the port of the next hop, 0.0.0.0:10025"}},
		{"127.0.0.1:10026", nil}, // the next hop is not of this machine
	} {
		c := load(t, listens+t.TempDir()+"'\nnext-hop = 'smtp://127.0.0.1:10025?proxy=v2'\n")
		e := &examination{config: c, sockets: []listening.Socket{socketOf(tt.listens, "/usr/lib/postfix/sbin/master")}}
		e.exposed(*c.NextHop)
		checkProblems(t, e.found, tt.problems)
	}
}

func TestLimitOfOpenFilesIsRead(t *testing.T) {
	if limit, ok := openFiles("/proc/self/limits"); ok && limit < 3 {
		t.Errorf("%d", limit)
	}
	path := filepath.Join(t.TempDir(), "limits")
	const table = "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            %           524288               files     \n"
	for soft, want := range map[string]int{"1024": 1024, "unlimited": 0} {
		if err := os.WriteFile(path, []byte(strings.Replace(table, "%", soft, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if limit, ok := openFiles(path); limit != want || ok != (want > 0) {
			t.Errorf("%s: %d, %v", soft, limit, ok)
		}
	}
}

// Files that root has left in the data folder cannot be written by the server.
func TestFilesOfOtherUsersAreFound(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change owners")
	}
	data := t.TempDir()
	for _, name := range []string{"ledger.db", "probe.key"} {
		if err := os.WriteFile(filepath.Join(data, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := &examination{config: load(t, listens+data+"'\n")}
	e.owners()
	checkProblems(t, e.found, nil)
	if err := os.Chown(filepath.Join(data, "ledger.db"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	e.owners()
	checkProblems(t, e.found, []string{"owner: Files in the data folder belong to another user than the folder"})
}

// Monitoring that runs as a user of its own gets no false alarm about what it cannot read.
func TestOtherUsersCannotExamine(t *testing.T) {
	data := t.TempDir()
	for _, tt := range []struct {
		data string
		uid  int
		want bool
	}{{data, os.Geteuid(), false}, {data, 0, false}, {data, os.Geteuid() + 1, true}, {data + "/missing", os.Geteuid() + 1, false}} {
		if f, got := Denied(tt.data, tt.uid); got != tt.want || got && (len(f.Advice) == 0 || f.Severity != probe.Unclear) {
			t.Errorf("%s as %d: %v, %v", tt.data, tt.uid, f, got)
		}
	}
}
