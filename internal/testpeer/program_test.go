package testpeer

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

var _ T = (*testing.T)(nil)

// fatalOnly is a T as a program gives it: it cannot skip, and Fatalf ends it.
type fatalOnly struct{ T }

func (fatalOnly) Fatalf(format string, args ...any) { panic("fatal: " + fmt.Sprintf(format, args...)) }

// skippable can skip, as a test can.
type skippable struct{ fatalOnly }

func (skippable) Skipf(format string, args ...any) { panic("skip: " + fmt.Sprintf(format, args...)) }

func TestMissingProgramSkipsExceptUnderCI(t *testing.T) {
	for _, tt := range []struct {
		name, ci string
		t        T
		want     string
	}{
		{"test", "", skippable{fatalOnly{t}}, "skip: "},
		{"test under CI", "true", skippable{fatalOnly{t}}, "fatal: "},
		{"program", "", fatalOnly{t}, "fatal: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("CI", tt.ci)
			defer func() {
				end := fmt.Sprint(recover())
				if !strings.HasPrefix(end, tt.want) || !strings.Contains(end, "scripts/install-peers") {
					t.Errorf("ended by %q, want %q and the script's name", end, tt.want)
				}
			}()
			program(tt.t, "no-such-mail-server")
		})
	}
}

func TestServersLeaveNothingBehind(t *testing.T) {
	var dir string
	var addrs []string
	t.Run("servers", func(t *testing.T) {
		sink := StartSMTPSink(t)
		backend := StartPostfix(t, PostfixOptions{})
		dir = string(backend.instance.dir)
		addrs = []string{sink.Addr, backend.Addr}
	})
	for _, addr := range addrs {
		awaitSilence(t, addr)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking for %q: %v, want %v", dir, err, fs.ErrNotExist)
	}
}

// awaitSilence waits until nobody listens on addr.
func awaitSilence(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(awaitTimeout); ; time.Sleep(pollInterval) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("%s still answers after %v", addr, awaitTimeout)
		}
	}
}
