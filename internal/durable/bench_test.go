package durable

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkCommit compares shared syncs of the folder with one for each file.
// TMPDIR says on which disk.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 20} {
		for _, kind := range []string{"own", "shared"} {
			b.Run(fmt.Sprintf("%s/%d", kind, writers), func(b *testing.B) {
				benchmarkCommit(b, kind == "own", writers)
			})
		}
	}
}

func benchmarkCommit(b *testing.B, own bool, writers int) {
	in, tmp := b.TempDir(), b.TempDir()
	var n atomic.Int64
	content := make([]byte, 4096)
	shared := openFolder(b, in, tmp)
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		folder := shared
		if own {
			folder = openFolder(b, in, tmp)
		}
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				name := fmt.Sprint(i)
				f, err := folder.Create(name, 0o600)
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := f.Write(content); err != nil {
					b.Error(err)
				}
				if err := f.Commit(name); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

func openFolder(b *testing.B, dir, tmp string) *Folder {
	f, err := OpenFolder(dir, tmp)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return f
}
