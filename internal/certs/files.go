package certs

import (
	"crypto/tls"
	"os"
	"sync"
)

// Files loads pairs, and loads one again only if a file of it has changed since: a server
// with thousands of certificates renews them one by one. It is safe for concurrent use, and
// nil loads every time.
type Files struct {
	mu    sync.Mutex
	known map[Pair]readPair
}

// readPair is a certificate, and its files just before they were read.
type readPair struct {
	cert  *tls.Certificate
	files fileInfos
}

// Load is [Load]. The certificate is the same as the last time if no file has changed.
func (f *Files) Load(p Pair) (*tls.Certificate, error) {
	if f == nil {
		return Load(p)
	}
	files := statPair(p)
	f.mu.Lock()
	last, ok := f.known[p]
	f.mu.Unlock()
	if ok && files.same(last.files) {
		return last.cert, nil
	}
	cert, err := Load(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		delete(f.known, p)
		return nil, err
	}
	if f.known == nil {
		f.known = make(map[Pair]readPair)
	}
	f.known[p] = readPair{cert, files}
	return cert, nil
}

// keep forgets all pairs but these.
func (f *Files) keep(pairs []Pair) {
	if f == nil {
		return
	}
	kept := make(map[Pair]readPair, len(pairs))
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range pairs {
		if known, ok := f.known[p]; ok {
			kept[p] = known
		}
	}
	f.known = kept
}

// fileInfos describe the two files of a pair; nil is a missing one.
type fileInfos [2]os.FileInfo

func statPair(p Pair) (infos fileInfos) {
	for i, file := range []string{p.CertFile, p.KeyFile} {
		if info, err := os.Stat(file); err == nil {
			infos[i] = info
		}
	}
	return infos
}

func (f fileInfos) same(other fileInfos) bool {
	for i, a := range f {
		b := other[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		if !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
			return false
		}
	}
	return true
}
