package certs

import (
	"context"
	"os"
	"slices"
	"time"
)

// Watch reloads the pairs when one of their files has changed, until ctx ends.
// It looks at them every interval, through symbolic links, so that certbot's
// live folder and the volumes of Kubernetes work, where it is the links that
// change.
//
// It waits until the files have stayed as they are for one interval: a
// certificate and its key are rarely written in the same moment.
//
// Once a day it warns of each certificate that expires within 14 days, or has.
func (s *Store) Watch(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	warning := time.NewTicker(warnInterval)
	defer warning.Stop()
	var last view
	for {
		select {
		case <-ctx.Done():
			return
		case <-warning.C:
			s.warnAll()
			continue
		case <-ticker.C:
		}
		now, changed := s.changed()
		if changed && now.same(last) {
			s.Reload()
		}
		last = now
	}
}

// changed reports whether the files are others than those last read.
func (s *Store) changed() (view, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := look(s.pairs())
	return now, !now.same(s.seen)
}

// A view is what files look like from outside; nil stands for a missing one.
type view []os.FileInfo

func look(pairs []Pair) view {
	var v view
	for _, pair := range pairs {
		for _, file := range []string{pair.CertFile, pair.KeyFile} {
			info, err := os.Stat(file)
			if err != nil {
				info = nil
			}
			v = append(v, info)
		}
	}
	return v
}

func (v view) same(other view) bool {
	return slices.EqualFunc(v, other, func(a, b os.FileInfo) bool {
		if a == nil || b == nil {
			return a == nil && b == nil
		}
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}
