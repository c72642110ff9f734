package acme

import (
	"context"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"postern/internal/fleet"
	"postern/internal/logkey"
)

// A Sharer shares files and locks with other hosts. See [fleet.Files], which is one.
type Sharer interface {
	Put(ctx context.Context, name string, content []byte)
	Remove(ctx context.Context, name string)
	Lock(ctx context.Context, name string) error
	TryLock(ctx context.Context, name string) (bool, error)
	Unlock(ctx context.Context, name string) error
}

// SharedFiles are what this host shares of its folder.
func (r *Renewer) SharedFiles() fleet.FileSettings {
	return fleet.FileSettings{Folder: r.settings.Folder, Shares: r.shares, Changed: r.changed}
}

// Share makes this host order certificates together with others. It is called before Run.
func (r *Renewer) Share(with Sharer) {
	r.config.Storage = &sharedStorage{r.config.Storage, with, r.log}
}

// shares reports whether a file concerns this host: the account and the challenges of the authority,
// and certificates with their keys if they are for one of the hosts configured here.
func (r *Renewer) shares(name string) bool {
	return strings.HasPrefix(name, accountFolder) || slices.ContainsFunc(r.settings.Hosts, func(host string) bool { return r.isOf(host, name) })
}

// isOf reports whether a file is one of the certificate for a host.
func (r *Renewer) isOf(host, name string) bool {
	return path.Dir(name) == certmagic.StorageKeys.CertsSitePrefix(r.issuer.IssuerKey(), host)
}

const (
	accountFolder   = "acme/"              // where certmagic has accounts and challenges
	challengeFolder = "/challenge_tokens/" // in that
)

// changed adopts a certificate that another host has stored.
func (r *Renewer) changed(name string) {
	for _, host := range r.settings.Hosts {
		if !r.isOf(host, name) {
			continue
		}
		if err := r.adoptLatest(host); err != nil {
			r.logFailure(host, err)
		}
	}
}

// A sharedStorage is the storage of this host, which shares what is written to it. Reading never
// waits for other hosts. It embeds the interface, so that it has no locks but theirs.
type sharedStorage struct {
	certmagic.Storage
	sharer Sharer
	log    *slog.Logger
}

// challengePause is what the other hosts get to take a challenge, before the authority is told that
// it may ask. It may ask any of them, and at once. They need a few milliseconds, and a sync of the disk.
const challengePause = 2 * time.Second

func (s *sharedStorage) Store(ctx context.Context, key string, value []byte) error {
	if err := s.Storage.Store(ctx, key, value); err != nil {
		return err
	}
	s.sharer.Put(ctx, key, value)
	if !strings.Contains(key, challengeFolder) {
		return nil
	}
	pause := time.NewTimer(challengePause)
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sharedStorage) Delete(ctx context.Context, key string) error {
	if err := s.Storage.Delete(ctx, key); err != nil {
		return err
	}
	s.sharer.Remove(ctx, key)
	return nil
}

// lockPatience is how long an order of another host usually takes at most.
const lockPatience = time.Minute

// Lock waits as long as another host has the lock, which certmagic keeps while it retries, or NATS is
// away. The operator learns of that: it is why there is no certificate.
func (s *sharedStorage) Lock(ctx context.Context, name string) error {
	long := time.AfterFunc(lockPatience, func() {
		s.log.Warn("waiting for the fleet before ordering a certificate", logkey.Entry, name)
	})
	defer long.Stop()
	return s.sharer.Lock(ctx, name)
}

func (s *sharedStorage) TryLock(ctx context.Context, name string) (bool, error) {
	return s.sharer.TryLock(ctx, name)
}

func (s *sharedStorage) Unlock(ctx context.Context, name string) error {
	return s.sharer.Unlock(ctx, name)
}
