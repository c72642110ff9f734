package maildir

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkDeliver compares deliveries with the system calls alone: create a file without a
// name, write, sync, link, sync of the folder. They alternate in the order ABBA, since disks
// get slower. TMPDIR says on which disk.
func BenchmarkDeliver(b *testing.B) {
	for _, writers := range []int{1, 20} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) { benchmarkDeliver(b, writers) })
	}
}

func benchmarkDeliver(b *testing.B, writers int) {
	text := strings.Repeat(strings.Repeat("x", 62)+"\r\n", 64) // 4 KiB
	maildir, err := New(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	f := &folder{maildir: maildir}
	deliver := func() error {
		if reply := f.send(strings.NewReader(text)); !reply.Positive() {
			return fmt.Errorf("reply %s", reply)
		}
		return nil
	}
	alone := diskAlone(b, []byte(text))
	const turn = 100
	var own, disk time.Duration
	for left := b.N; left > 0; left -= turn {
		n, first := min(left, turn), left/turn%2 == 0
		if first {
			own += timed(b, writers, n, deliver)
		}
		disk += timed(b, writers, n, alone)
		if !first {
			own += timed(b, writers, n, deliver)
		}
	}
	b.ReportMetric(float64(b.N)/own.Seconds(), "messages/s")
	b.ReportMetric(float64(b.N)/disk.Seconds(), "disk/s")
	b.ReportMetric(disk.Seconds()/own.Seconds(), "of-disk")
}

// timed measures n files written by some writers.
func timed(b *testing.B, writers, n int, write func() error) time.Duration {
	var begun atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range writers {
		wg.Go(func() {
			for begun.Add(1) <= int64(n) {
				if err := write(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func diskAlone(b *testing.B, content []byte) func() error {
	dir, err := os.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dir.Close() })
	folder := int(dir.Fd())
	var count atomic.Int64
	return func() error {
		fd, err := unix.Openat(folder, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if _, err := unix.Write(fd, content); err != nil {
			return err
		}
		if err := unix.Fsync(fd); err != nil {
			return err
		}
		name := fmt.Sprint(count.Add(1))
		if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), folder, name, unix.AT_SYMLINK_FOLLOW); err != nil {
			return err
		}
		return unix.Fsync(folder)
	}
}
