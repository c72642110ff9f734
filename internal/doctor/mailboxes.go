package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"

	"postern/internal/config"
)

// A mailboxMessage is a message that was found in a mailbox.
type mailboxMessage struct {
	place  string // for people
	header string
	remove func(context.Context) error
}

// A lookup looks for a message by its Message-ID in a kind of mailbox.
type lookup func(ctx context.Context, c *config.Config, to, id string) (mailboxMessage, bool)

// mailboxes are the kinds that can be read.
var mailboxes = []lookup{inOwnMaildir, inDovecot, inMaddy, inHome, inSpool}

// inOwnMaildir looks in the Maildir that Postern stores messages in.
func inOwnMaildir(_ context.Context, c *config.Config, _, id string) (mailboxMessage, bool) {
	if c.NextHop != nil {
		return mailboxMessage{}, false
	}
	return inMaildir(c.MaildirFolder(), id)
}

// inHome looks in the Maildir of a user of this machine.
func inHome(_ context.Context, _ *config.Config, to, id string) (mailboxMessage, bool) {
	local, _, _ := strings.Cut(to, "@")
	u, err := user.Lookup(local)
	if err != nil {
		return mailboxMessage{}, false
	}
	return inMaildir(filepath.Join(u.HomeDir, "Maildir"), id)
}

func inMaildir(folder, id string) (mailboxMessage, bool) {
	files, _ := filepath.Glob(filepath.Join(folder, "new", "*")) // empty if there is no such folder
	for _, path := range files {
		if header, ok := headerWith(path, id); ok {
			return mailboxMessage{path, header, func(context.Context) error { return os.Remove(path) }}, true
		}
	}
	return mailboxMessage{}, false
}

// maxHeader bounds what is read of a message: the header of ours is far shorter.
const maxHeader = 64 << 10

// headerWith returns the header of a message in a file if it has the Message-ID.
func headerWith(path, id string) (header string, ok bool) {
	file, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer file.Close()
	start, _ := io.ReadAll(io.LimitReader(file, maxHeader)) // what can be read may be enough
	header, _, _ = strings.Cut(strings.ReplaceAll(string(start), "\r\n", "\n"), "\n\n")
	return header, strings.Contains(header, "<"+id+"@")
}

// inSpool looks in the mbox of a user of this machine. Removing a message there would need the
// locks of all programs that deliver to it, so it stays.
func inSpool(_ context.Context, _ *config.Config, to, id string) (mailboxMessage, bool) {
	local, _, _ := strings.Cut(to, "@")
	if local != filepath.Base(local) {
		return mailboxMessage{}, false
	}
	for _, folder := range []string{"/var/mail", "/var/spool/mail"} {
		path := filepath.Join(folder, local)
		content, err := lastOf(path)
		if err != nil {
			continue
		}
		// The last messages are ours; each begins with a line "From ".
		at := strings.LastIndex(content, "<"+id+"@")
		if at < 0 {
			continue
		}
		start := strings.LastIndex("\n"+content[:at], "\nFrom ")
		header, _, _ := strings.Cut(content[max(start, 0):], "\n\n")
		return mailboxMessage{path, header, func(context.Context) error { return errors.New("a message in an mbox is left to its reader") }}, true
	}
	return mailboxMessage{}, false
}

// lastOf returns the end of a file.
func lastOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-maxHeader), maxHeader))
	return string(content), err
}

// inDovecot looks with doveadm, which needs root. A mailbox may have the name of the address or
// of its user.
func inDovecot(ctx context.Context, _ *config.Config, to, id string) (mailboxMessage, bool) {
	local, _, _ := strings.Cut(to, "@")
	for _, name := range []string{to, local} {
		if strings.HasPrefix(name, "-") {
			continue
		}
		header, err := exec.CommandContext(ctx, "doveadm", "fetch", "-u", name, "hdr", "mailbox", "*", "header", "message-id", id).Output()
		if err != nil || !strings.Contains(string(header), id) {
			continue
		}
		return mailboxMessage{"Dovecot's mailbox of " + name, string(header), func(ctx context.Context) error {
			return exec.CommandContext(ctx, "doveadm", "expunge", "-u", name, "mailbox", "*", "header", "message-id", id).Run()
		}}, true
	}
	return mailboxMessage{}, false
}

// maddyUID matches the line in which maddy prints the number of a message.
var maddyUID = regexp.MustCompile(`(?m)^UID: (\d+)$`)

// inMaddy looks at the last message of a mailbox of maddy, as maddy's user: files that root
// leaves beside its database would be in its way.
func inMaddy(ctx context.Context, _ *config.Config, to, id string) (mailboxMessage, bool) {
	maddy := func(ctx context.Context, command string, messages ...string) (string, error) {
		args := append([]string{"-u", "maddy", "--", "maddy", "imap-msgs", command}, messages...)
		printed, err := exec.CommandContext(ctx, "runuser", args...).Output()
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			err = fmt.Errorf("maddy imap-msgs %s: %w: %s", command, err, bytes.TrimSpace(exit.Stderr))
		}
		return string(printed), err
	}
	if strings.HasPrefix(to, "-") {
		return mailboxMessage{}, false
	}
	const mailbox = "INBOX"
	envelope, err := maddy(ctx, "list", "--full", "--uid", to, mailbox, "*")
	uid := maddyUID.FindStringSubmatch(envelope)
	if err != nil || uid == nil || !strings.Contains(envelope, "<"+id+"@") {
		return mailboxMessage{}, false
	}
	text, err := maddy(ctx, "dump", "--uid", to, mailbox, uid[1])
	if err != nil {
		return mailboxMessage{}, false
	}
	header, _, _ := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
	return mailboxMessage{"maddy's mailbox of " + to, header, func(ctx context.Context) error {
		_, err := maddy(ctx, "remove", "--uid", "--yes", to, mailbox, uid[1])
		return err
	}}, true
}
