package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"postern/internal/config"
	"postern/internal/probe"
	"postern/internal/smtpd"
)

// machine examines the disk, the clock and the files of the data folder.
func (e *examination) machine(context.Context) {
	e.disk()
	e.clock()
	e.owners()
}

// A room is what is free on a disk.
type room struct {
	free, size       uint64 // bytes
	freeFiles, files uint64 // 0 files: the file system has no limit
}

// What is little space: less than this part of the disk, or less than this many messages.
const (
	littlePart     = 20 // a twentieth
	littleMessages = 20
)

// disk examines the room in the data folder.
func (e *examination) disk() {
	room, err := roomAt(e.config.Data)
	if err != nil {
		return // the configuration's check has said what is wrong with the folder
	}
	size := cmp.Or(e.config.Limits.MessageSize, smtpd.DefaultLimits.MessageSize)
	evidence := []string{fmt.Sprintf("%d MiB of %d MiB are free, and %d of %d inodes, at %s",
		room.free>>20, room.size>>20, room.freeFiles, room.files, e.config.Data)}
	advice := do("Postern", config.WriteRemedy(syscall.ENOSPC, e.config.Data))
	switch {
	case room.free < uint64(size), room.files > 0 && room.freeFiles == 0:
		e.add(probe.Finding{ID: "disk", Severity: probe.Critical, Title: "The disk is full", Evidence: evidence, Advice: advice})
	case room.free < uint64(size)*littleMessages && room.free < room.size/littlePart, room.files > 0 && room.freeFiles < room.files/littlePart:
		e.add(probe.Finding{ID: "disk", Severity: probe.Warning, Title: "The disk is nearly full", Evidence: evidence, Advice: advice})
	default:
		e.ok("disk", "The disk has room", evidence...)
	}
}

// clock examines whether something keeps the clock right. A wrong one makes certificates and
// signatures invalid.
func (e *examination) clock() {
	switch synchronised, known := clockSynchronised(); {
	case !known:
	case synchronised:
		e.ok("clock", "The clock is synchronised")
	default:
		e.add(probe.Finding{ID: "clock", Severity: probe.Notice, Title: "The clock is not synchronised",
			Advice: do("system", "Run a client of NTP, such as systemd-timesyncd or chrony. With a wrong clock, certificates and DKIM signatures are invalid.")})
	}
}

// maxFiles bounds the files of the data folder that are looked at: a Maildir has many, all made
// by the server.
const maxFiles = 1000

// owners looks for files that the server cannot change, such as those of a command that root
// has run.
func (e *examination) owners() {
	root, err := os.Stat(e.config.Data)
	owner, known := ownerOf(root, err)
	if !known {
		return
	}
	var others []string
	seen := 0
	_ = filepath.WalkDir(e.config.Data, func(path string, entry fs.DirEntry, err error) error {
		if seen++; err != nil || seen > maxFiles {
			return fs.SkipDir
		}
		if path == e.config.MaildirFolder() {
			return fs.SkipDir
		}
		info, err := entry.Info()
		if other, known := ownerOf(info, err); known && other != owner {
			others = append(others, path)
		}
		return nil
	})
	if others == nil {
		return
	}
	e.add(probe.Finding{ID: "owner", Severity: probe.Warning, Title: "Files in the data folder belong to another user than the folder",
		Evidence: []string{config.Summary(others)},
		Advice:   do("Postern", fmt.Sprintf("Run chown -R --reference=%s %[1]s. Run commands that write there as the server's user.", e.config.Data))})
}
