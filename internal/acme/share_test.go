package acme

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	"postern/internal/testlog"
)

// A sharerInMemory shares the files of stories in one process, as package fleet does over NATS.
type sharerInMemory struct {
	mu    sync.Mutex
	locks map[string]bool
	hosts []*story
}

// A member is one story's part.
type member struct {
	*sharerInMemory
	*story
}

func (m member) Put(ctx context.Context, name string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.hosts {
		if files := other.SharedFiles(); other != m.story && files.Shares(name) {
			(&certmagic.FileStorage{Path: files.Folder}).Store(ctx, name, content)
			files.Changed(name)
		}
	}
}

func (m member) Remove(ctx context.Context, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.hosts {
		(&certmagic.FileStorage{Path: other.settings.Folder}).Delete(ctx, name)
	}
}

func (m member) TryLock(_ context.Context, name string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return false, nil
	}
	m.locks[name] = true
	return true, nil
}

func (m member) Lock(ctx context.Context, name string) error {
	for ctx.Err() == nil {
		if got, _ := m.TryLock(ctx, name); got {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func (m member) Unlock(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.locks, name)
	return nil
}

// Of two hosts one orders a certificate, and renews it; both have it.
func TestOneHostOrdersForAll(t *testing.T) {
	shared := &sharerInMemory{locks: make(map[string]bool)}
	one := prepare(t, Settings{})
	two := prepare(t, Settings{Folder: filepath.Join(folder(t), "acme"), Hosts: one.settings.Hosts})
	two.answers = one.answers // one authority
	for _, s := range []*story{one, two} {
		shared.hosts = append(shared.hosts, s)
		s.Share(member{shared, s})
	}
	one.run()
	two.run()
	for _, left := range []time.Duration{spent, fresh} {
		one.answer(answer{left: left})
		for _, s := range shared.hosts {
			select {
			case <-s.Changes():
			case <-time.After(time.Minute):
				t.Fatalf("no certificate with %v left at %s", left, s.settings.Folder)
			}
		}
		if a, b := one.certificate(), two.certificate(); !a.Leaf.Equal(b.Leaf) {
			t.Errorf("with %v left, one has a certificate until %v, the other until %v", left, a.Leaf.NotAfter, b.Leaf.NotAfter)
		}
	}
	select {
	case one.answers <- answer{left: fresh}:
		t.Error("the certificate was ordered again")
	default:
	}
}

// The authority is told that it may ask when the other hosts can answer.
func TestChallengesComeToOtherHostsFirst(t *testing.T) {
	s := prepare(t, Settings{})
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedStorage{s.config.Storage, member{&sharerInMemory{}, s}, s.log}
		for key, want := range map[string]time.Duration{
			"acme/authority/challenge_tokens/mx.example.org.json": challengePause,
			"acme/authority/users/default/default.key":            0,
		} {
			began := time.Now()
			if err := shared.Store(t.Context(), key, []byte("x")); err != nil || time.Since(began) != want {
				t.Errorf("%s is stored after %v, %v, want %v", key, time.Since(began), err, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := shared.Store(ctx, "acme/authority/challenge_tokens/x.json", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("when the server stops: %v", err)
		}
	})
}

// An operator learns why a certificate does not come.
func TestALongWaitForAnotherHostIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged testlog.Log
		sharer := member{&sharerInMemory{locks: map[string]bool{"issue_cert_mx.example.org": true}}, nil}
		shared := &sharedStorage{sharer: sharer, log: logged.Logger()}
		time.AfterFunc(lockPatience/2, func() { sharer.Unlock(t.Context(), "issue_cert_mx.example.org") })
		if err := shared.Lock(t.Context(), "issue_cert_mx.example.org"); err != nil || logged.String() != "" {
			t.Errorf("after half a minute: %v, logged: %s", err, logged.String())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*lockPatience)
		defer cancel()
		if err := shared.Lock(ctx, "issue_cert_mx.example.org"); !errors.Is(err, context.DeadlineExceeded) || logged.Count("entry=issue_cert_mx.example.org") != 1 {
			t.Errorf("%v, logged: %s", err, logged.String())
		}
	})
}

// A host shares the account and its challenges, and of certificates only its own.
func TestKeysOfOtherHostsAreNotShared(t *testing.T) {
	s := prepare(t, Settings{})
	own := filepath.ToSlash(strings.TrimPrefix(s.stored(s.host).KeyFile, s.settings.Folder+string(filepath.Separator)))
	for name, want := range map[string]bool{
		own: true,
		strings.ReplaceAll(own, s.host, "other.example.org"):                 false,
		strings.Replace(own, "certificates/", "certificates/other-", 1):      false,
		"acme/authority.example-dir/users/default/default.key":               true,
		"acme/authority.example-dir/challenge_tokens/other.example.org.json": true,
		"rw_test_1": false, "locks/x.lock": false, s.host + ".pem": false, "last_clean": false,
	} {
		if got := s.SharedFiles().Shares(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
