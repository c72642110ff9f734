package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/durable"
	"postern/internal/logkey"
)

// FileSettings are those of files that hosts share.
type FileSettings struct {
	Folder string // where this host has them; only the owner can read what is written there

	// Shares reports whether this host shares a file. Names are paths with slashes below the folder.
	Shares func(name string) bool

	// Changed is called after a file of another host came into the folder, or was removed.
	Changed func(name string)
}

// Files are small files that hosts share, and locks, for what only one of them shall do at a time.
// They are made by [Fleet.Share], and safe for concurrent use.
//
// A host reads its own folder only, and never waits for NATS: what it cannot share now it shares
// when NATS is back. Of two versions of a file the one that was stored last wins.
type Files struct {
	fleet *Fleet
	of    FileSettings

	mu      sync.Mutex
	kv      jetstream.KeyValue    // nil while NATS is away
	since   time.Time             // kv is nil
	taken   uint64                // revision up to which this host has what others stored
	moved   chan struct{}         // closed when taken changes
	pending map[string]sharedFile // not stored yet
	held    map[string]*heldLock  // by name
	waits   map[string]observed   // locks of others, by key
}

// A sharedFile is a file as it is stored.
type sharedFile struct {
	Name    string `json:"name"`
	Content []byte `json:"content,omitempty"`
	Removed bool   `json:"removed,omitempty"`
}

const (
	// Bounds of what is stored. A certificate with its chain has some 5 KiB.
	maxSharedFile  = 64 << 10
	maxSharedFiles = 64 << 20
)

// Share makes a fleet share files, too. It is called before Run.
func (f *Fleet) Share(settings FileSettings) *Files {
	f.files = newFiles(f, settings)
	f.down[partFiles] = f.down[partConnection]
	return f.files
}

func newFiles(f *Fleet, settings FileSettings) *Files {
	return &Files{
		fleet: f, of: settings, since: time.Now(), moved: make(chan struct{}),
		pending: make(map[string]sharedFile), held: make(map[string]*heldLock), waits: make(map[string]observed),
	}
}

// Put shares a file that this host has written.
func (s *Files) Put(ctx context.Context, name string, content []byte) {
	s.give(ctx, sharedFile{Name: name, Content: bytes.Clone(content)})
}

// Remove shares that this host has removed a file.
func (s *Files) Remove(ctx context.Context, name string) {
	s.give(ctx, sharedFile{Name: name, Removed: true})
}

// give stores a file, or keeps it until NATS is back.
func (s *Files) give(ctx context.Context, file sharedFile) {
	if !s.of.Shares(file.Name) || len(file.Content) > maxSharedFile {
		return
	}
	s.mu.Lock()
	s.pending[file.Name] = file
	kv := s.kv
	s.mu.Unlock()
	if kv == nil {
		return
	}
	if err := s.storePending(ctx, kv, file.Name); err != nil {
		s.fleet.Log.Debug("cannot share a file yet", logkey.Entry, file.Name, logkey.Err, err)
	}
}

// storePending stores a pending file, unless it was replaced meanwhile.
func (s *Files) storePending(ctx context.Context, kv jetstream.KeyValue, name string) error {
	s.mu.Lock()
	file, ok := s.pending[name]
	s.mu.Unlock()
	if !ok {
		return nil
	}
	value, err := json.Marshal(file)
	if err != nil {
		return fmt.Errorf("encoding a file: %w", err)
	}
	if err := s.fleet.store(ctx, kv, s.fileKey(name), value); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.pending[name]; now.Removed == file.Removed && bytes.Equal(now.Content, file.Content) {
		delete(s.pending, name)
	}
	return nil
}

// shareFiles takes the files of other hosts and gives them those of this one. It returns when the
// watch has ended.
func (s *Files) shareFiles(ctx context.Context, js jetstream.JetStream, again <-chan struct{}) error {
	kv, watch, err := openBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: s.fleet.Prefix + "-certificates", Description: "certificates, accounts and challenges of ACME, encrypted",
		MaxValueSize: 2 * maxSharedFile, MaxBytes: maxSharedFiles,
	})
	if err != nil {
		return err
	}
	defer s.disconnected()
	stored := make(map[string]bool)
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	for lag := (watchLag{}); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			return nil
		case it, ok := <-watch.items:
			switch {
			case !ok:
				return watch.err
			case it != nil:
				if name := s.take(it); name != "" {
					stored[name] = true
				}
				s.advance(it.revision)
				continue
			}
			if err := s.storeMissing(ctx, kv, stored); err != nil {
				return err
			}
			s.connected(kv)
			s.fleet.note(partFiles, nil)
		case <-check.C:
			if err := lag.check(ctx, kv, s.revision()); err != nil {
				return err
			}
		}
	}
}

// take puts a file of another host into the folder, and returns its name. A file that this host has
// written meanwhile stays.
func (s *Files) take(it *item) (name string) {
	if it.removed || !strings.HasPrefix(it.key, fileKeys) {
		return ""
	}
	var file sharedFile
	err := s.fleet.decode(it, &file)
	if err == nil && (!fs.ValidPath(file.Name) || s.fileKey(file.Name) != it.key) {
		err = errors.New("has another file's name")
	}
	if err != nil {
		s.fleet.Log.Debug("ignoring a file of the fleet", logkey.Entry, it.key, logkey.Err, err)
		return ""
	}
	s.mu.Lock()
	_, newer := s.pending[file.Name]
	s.mu.Unlock()
	if newer || !s.of.Shares(file.Name) {
		return file.Name
	}
	changed, err := s.write(file)
	if err != nil {
		s.fleet.Log.Warn("cannot keep a file of the fleet", logkey.Entry, file.Name, logkey.Err, err)
	}
	if changed {
		s.of.Changed(file.Name)
	}
	return file.Name
}

// write makes the folder have a file, or not, and reports whether it was otherwise.
func (s *Files) write(file sharedFile) (changed bool, err error) {
	path := filepath.Join(s.of.Folder, filepath.FromSlash(file.Name))
	if file.Removed {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	if content, err := os.ReadFile(path); err == nil && bytes.Equal(content, file.Content) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	err = durable.WriteFile(path, file.Content, 0o600)
	return err == nil, err
}

// storeMissing stores what this host could not store while NATS was away, and those of its files that
// are not stored: all of them if this is the first host, or NATS lost them.
func (s *Files) storeMissing(ctx context.Context, kv jetstream.KeyValue, stored map[string]bool) error {
	err := fs.WalkDir(os.DirFS(s.of.Folder), ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile, or there is no folder yet
		}
		if err != nil || !d.Type().IsRegular() || stored[name] || !s.of.Shares(name) {
			return err
		}
		content, err := os.ReadFile(filepath.Join(s.of.Folder, filepath.FromSlash(name)))
		if err != nil || len(content) > maxSharedFile {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, newer := s.pending[name]; !newer {
			s.pending[name] = sharedFile{Name: name, Content: content}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.pending))
	s.mu.Unlock()
	for _, name := range names {
		if err := s.storePending(ctx, kv, name); err != nil {
			return err
		}
	}
	return nil
}

// connected notes that this host has all that is stored.
func (s *Files) connected(kv jetstream.KeyValue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kv = kv
}

func (s *Files) disconnected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = 0 // the bucket may be another one next time
	if s.kv != nil {
		s.kv, s.since = nil, time.Now()
	}
}

// advance notes that this host has what is stored up to a revision.
func (s *Files) advance(revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = revision
	close(s.moved)
	s.moved = make(chan struct{})
}

func (s *Files) revision() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// Files and locks are in one bucket, so that their revisions have one order.
const (
	fileKeys = "file."
	lockKeys = "lock."
)

func (s *Files) fileKey(name string) string { return fileKeys + s.fleet.sealer.name("file "+name) }
func (s *Files) lockKey(name string) string { return lockKeys + s.fleet.sealer.name("lock "+name) }
