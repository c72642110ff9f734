package testpeer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

var _ T = (*testing.T)(nil)

// fatalOnly is a T of a program: it cannot skip.
type fatalOnly struct{ T }

func (fatalOnly) Fatalf(format string, args ...any) { panic("fatal: " + fmt.Sprintf(format, args...)) }

// skippable is a T of a test: it can skip.
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

func TestServersAreStoppedAndTheirFoldersRemoved(t *testing.T) {
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
		t.Errorf("stat of %q: %v, want %v", dir, err, fs.ErrNotExist)
	}
}

// awaitSilence waits until no server listens on addr.
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

func TestScopeEndsWhatItStarted(t *testing.T) {
	var ended []int
	err := Run(t.Context(), io.Discard, nil, func(s *Scope) error {
		s.Cleanup(func() { ended = append(ended, 1) })
		s.Cleanup(func() { ended = append(ended, 2) })
		s.Fatalf("peer %d is missing", 3)
		return nil
	})
	if err == nil || err.Error() != "peer 3 is missing" || len(ended) != 2 || ended[0] != 2 {
		t.Errorf("error %v, ended %v", err, ended)
	}
}
