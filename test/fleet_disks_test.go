package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"postern/internal/testdisk"
)

// fillDisk fills a small disk at dir, and returns what frees it.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	filler := filepath.Join(dir, "filler")
	_ = os.WriteFile(filler, make([]byte, 8<<20), 0o600) // what does not fit is what it is about
	return func() {
		t.Helper()
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitStatus waits until postern status at a host says something.
func (f *fleet) awaitStatus(host int, text string) {
	f.t.Helper()
	eventually(f.t, func() error {
		out, _ := runPostern(f.t, "status", "--data", f.hosts[host].data)
		if out = strings.Join(strings.Fields(out), " "); !strings.Contains(out, text) { // it is wrapped
			return fmt.Errorf("postern status at mx%d, which should say %q:\n%s", host, text, out)
		}
		return nil
	})
}

// The disks of two hosts are full: at mx1 that of mail and ledger, at mx2 that of the ledger. Senders are
// deferred at mx1 only, none of the mail that was accepted is lost, and mx0 says what is wrong and what to
// do. Once there is room all share again, without a person.
func TestFleetOutlivesFullDisks(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1, 1)
	backend := startBackend(t)
	var disks []string
	for i, args := range [][]string{nil, {"--next-hop", "smtp://" + backend.addr}} {
		disks = append(disks, testdisk.Mount(t, "size=4m,mode=0700"))
		f.hosts = append(f.hosts, f.startHost(fmt.Sprintf("mx%d", i+1), disks[i], f.secret, args...))
		f.hosts[i+1].await(0, `msg="fleet connected"`)
	}
	acked := make([][]string, len(f.hosts))
	deliver := func(what string, full bool) {
		t.Helper()
		for i, p := range f.hosts {
			id := fmt.Sprintf("%s-mx%d", what, i)
			reply := p.deliver(t, newMessage(id, 64<<10))
			want := "250 2.0.0"
			if full && i == 1 {
				want = "452 4.3.1"
			} else {
				acked[i] = append(acked[i], id)
			}
			if got := fmt.Sprint(reply.Code, " ", reply.Enhanced()); got != want {
				t.Errorf("%s: %s, want %s", id, reply, want)
			}
		}
	}
	deliver("before", false)
	free := []func(){fillDisk(t, disks[0]), fillDisk(t, disks[1])}
	deliver("at-once", true)
	for i, dir := range disks {
		f.awaitStatus(0, fmt.Sprintf("At mx%d free space or inodes on the disk of %s", i+1, dir))
	}
	deliver("later", true)
	for _, free := range free {
		free()
	}
	f.awaitStatus(0, "All hosts of the fleet share: 3.")
	deliver("after", false)
	for i, p := range f.hosts[:2] {
		checkStored(t, acked[i], p.maildir().take(t))
	}
	for _, id := range acked[2] {
		if !backend.has(id) {
			t.Errorf("message %s was accepted and is not stored", id)
		}
	}
}

// The disk of a host with its mail and its ledger is pulled while it runs, and put back. Senders are
// deferred there meanwhile: no mail is stored where the disk would hide it. Then all is as before.
func TestFleetOutlivesAPulledDisk(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1, 1)
	disk, data := testdisk.Mount(t, "size=16m,mode=0700"), t.TempDir()
	mount := func() {
		t.Helper()
		if err := syscall.Mount(disk, data, "", syscall.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	mount()
	t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
	f.hosts = append(f.hosts, f.startHost("mx1", data, f.secret))
	f.hosts[1].await(0, `msg="fleet connected"`)
	deliver := func(id string, replies ...int) {
		t.Helper()
		var got []int
		for _, p := range f.hosts {
			got = append(got, p.deliver(t, newMessage(id, 0)).Code)
		}
		if !slices.Equal(got, replies) {
			t.Errorf("%s: replies %d, want %d", id, got, replies)
		}
	}
	deliver("before", 250, 250)
	f.awaitOutcomes(f.hosts, "full at mx0", "full at mx1")

	if err := syscall.Unmount(data, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	deliver("pulled", 250, 451)
	eventually(t, func() error {
		return checkOutput(t, "451 4.3.0", "refusals", "--host", "mx1", "--data", f.hosts[0].data)
	})
	hidden, _ := filepath.Glob(filepath.Join(data, "*"))
	if i := slices.IndexFunc(hidden, func(path string) bool { return !strings.HasPrefix(filepath.Base(path), "ledger.db") }); i >= 0 {
		t.Errorf("without its disk mx1 made %s", hidden[i])
	}

	mount()
	deliver("after", 250, 250)
	f.awaitStatus(0, "All hosts of the fleet share: 2.")
	checkStored(t, []string{"before", "after"}, f.hosts[1].maildir().take(t))
	checkStored(t, []string{"before", "pulled", "after"}, f.hosts[0].maildir().take(t))
	f.awaitOutcomes(f.hosts[:1], "full at mx0", "full at mx0", "full at mx0", "full at mx1", "full at mx1", "full at mx1")
}
