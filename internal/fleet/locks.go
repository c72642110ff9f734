package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/logkey"
)

const (
	// lockBeat is how often the host that has a lock renews it.
	lockBeat = 5 * time.Second

	// lockStale is when a lock that was not renewed is taken over. Each host measures it from the
	// change that it has seen itself, so clocks may differ.
	lockStale = 30 * time.Second

	// lockRetry is how often a host that waits for a lock looks.
	lockRetry = time.Second

	// lockAlone is when a host without NATS goes on without others: its certificate shall not
	// expire. It is less than what is left of certificates of six days when they are renewed.
	lockAlone = 24 * time.Hour
)

// A heldLock is a lock that this host has.
type heldLock struct {
	release context.CancelFunc // ends renewing
	done    chan struct{}      // closed after that
}

// An observed lock is one of another host.
type observed struct {
	revision uint64
	since    time.Time
}

// Lock waits for a lock that no other host of the fleet has, nor another caller at this one. When it
// returns nil, this host has the files that others stored while they had it. A host that has been
// without NATS for a day gets the lock alone.
func (s *Files) Lock(ctx context.Context, name string) error {
	for {
		got, err := s.TryLock(ctx, name)
		switch {
		case got:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			s.fleet.Log.Debug("cannot lock", logkey.Entry, name, logkey.Err, err)
		}
		timer := time.NewTimer(lockRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// TryLock is like Lock, but does not wait for others: it reports whether it has got the lock. Without
// NATS it has not.
func (s *Files) TryLock(ctx context.Context, name string) (bool, error) {
	s.mu.Lock()
	kv, since := s.kv, s.since
	_, held := s.held[name]
	if held || kv == nil && time.Since(since) < lockAlone {
		s.mu.Unlock()
		return false, nil
	}
	lock := &heldLock{done: make(chan struct{})}
	s.held[name] = lock
	s.mu.Unlock()

	if kv == nil {
		lock.release = func() {}
		close(lock.done)
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	revision, err := s.acquire(ctx, kv, s.lockKey(name))
	if revision > 0 {
		s.forget(s.lockKey(name))
		var renewing context.Context
		renewing, lock.release = context.WithCancel(context.Background())
		go s.renew(renewing, kv, s.lockKey(name), revision, lock.done)
		if err = s.await(ctx, revision); err == nil {
			return true, nil
		}
		lock.release()
		<-lock.done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, name)
	return false, err
}

// acquire stores a lock, and returns its revision, or 0 if another host has it.
func (s *Files) acquire(ctx context.Context, kv jetstream.KeyValue, key string) (revision uint64, err error) {
	value := s.fleet.sealer.seal(key, []byte(s.fleet.Name))
	revision, err = kv.Create(ctx, key, value)
	if err == nil {
		return revision, nil
	}
	if lostRace(err) != nil {
		return 0, err
	}
	entry, err := get(ctx, kv, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil // it was released just now
	}
	if err != nil || !s.isStale(key, entry.Revision()) {
		return 0, err
	}
	revision, err = kv.Update(ctx, key, value, entry.Revision())
	if err != nil {
		return 0, lostRace(err)
	}
	s.fleet.Log.Debug("took over a lock of the fleet", logkey.Entry, key)
	return revision, nil
}

// isStale reports whether a lock of another host has not been renewed for long.
func (s *Files) isStale(key string, revision uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.waits[key]
	if !ok || seen.revision != revision {
		s.waits[key] = observed{revision, time.Now()}
		return false
	}
	return time.Since(seen.since) >= lockStale
}

// forget forgets what was seen of a lock that this host has now.
func (s *Files) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waits, key)
}

// await waits until this host has what was stored before a revision.
func (s *Files) await(ctx context.Context, revision uint64) error {
	for {
		s.mu.Lock()
		taken, moved := s.taken, s.moved
		s.mu.Unlock()
		if taken >= revision {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for what others stored: %w", ctx.Err())
		case <-moved:
		}
	}
}

// renew keeps a lock until release, and then releases it. It stops when another host has it.
func (s *Files) renew(ctx context.Context, kv jetstream.KeyValue, key string, revision uint64, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(lockBeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			if err := kv.Delete(ctx, key, jetstream.LastRevision(revision)); err != nil {
				s.fleet.Log.Debug("cannot release a lock; it ends by itself", logkey.Entry, key, logkey.Err, err)
			}
			return
		}
		beat, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience) // else it is not known what is stored
		next, err := kv.Update(beat, key, s.fleet.sealer.seal(key, []byte(s.fleet.Name)), revision)
		cancel()
		switch {
		case err == nil:
			revision = next
		case lostRace(err) == nil:
			s.fleet.Log.Debug("lost a lock of the fleet", logkey.Entry, key)
			return
		}
	}
}

// Unlock releases a lock.
func (s *Files) Unlock(_ context.Context, name string) error {
	s.mu.Lock()
	lock, ok := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("fleet: this host does not have the lock %s", name)
	}
	lock.release()
	<-lock.done
	return nil
}
