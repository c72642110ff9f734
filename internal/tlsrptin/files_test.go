package tlsrptin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"postern/internal/ledger"
	"postern/internal/testreport"
	"postern/tlsrpt"
)

// entries lists what a FileReader finds at path, one entry a line.
func entries(t *testing.T, r FileReader, path string) string {
	t.Helper()
	var all []string
	err := r.Read(t.Context(), path, func(e Entry) error {
		name := strings.TrimPrefix(e.Name, filepath.Dir(path)+"/")
		switch {
		case errors.Is(e.Err, tlsrpt.ErrNotReport):
			all = append(all, name+": none")
		case e.Err != nil:
			all = append(all, name+": "+e.Err.Error())
		default:
			all = append(all, fmt.Sprintf("%s: %d of %s by %s, %v", name, e.Report.Failed, e.Report.Submitter, e.Report.Via, e.Report.Verified))
		}
		return nil
	})
	if err != nil {
		all = append(all, "error: "+err.Error())
	}
	return strings.Join(all, "\n")
}

func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFileReaderReadsAllKindsOfFiles(t *testing.T) {
	signer := testreport.NewSigner(t, "microsoft.test")
	r := NewFileReader(testreport.Resolver(t, signer.KeyRecord("s=tlsrpt;")))
	signed := strings.ReplaceAll(signer.Sign(t, october.Mail()), "\r\n", "\n")
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		content []byte
		want    string
	}{
		"a.json": {[]byte(october.JSON()), "a.json: 27 of  by file, false"},
		"microsoft.test!ours.example!1729728000!1729814399!1.json.gz": {zipped(october.JSON()),
			"microsoft.test!ours.example!1729728000!1729814399!1.json.gz: 27 of microsoft.test by file, false"},
		"signed.eml":  {[]byte(signed), "signed.eml: 27 of microsoft.test by file, true"},
		"plain.eml":   {[]byte(october.Mail()), "plain.eml: 27 of microsoft.test by file, false"},
		"mark.json":   {[]byte("\ufeff\r\n\t " + october.JSON()), "mark.json: 27 of  by file, false"},
		"other.json":  {[]byte("{}"), "other.json: none"},
		"other.gz":    {zipped("{}"), "other.gz: none"},
		"largest.eml": {bytes.Repeat([]byte("x"), 12<<20), "largest.eml: none"},
		"letter.eml":  {[]byte("Subject: hello\n\nhello\n"), "letter.eml: none"},
		"empty":       {nil, "empty: none"},
		"long.eml":    {bytes.Repeat([]byte("x"), tlsrpt.MaxMailSize+1), "long.eml: " + errTooLong.Error()},
		"mbox": {[]byte("From a@b Thu Oct 24 03:00:00 2024\n" + signed + "\nFrom c@d Thu Oct 24 03:00:00 2024\nSubject: hello\n\n>From here\n\n" +
			"From a@b Thu Oct 24 03:00:00 2024\r\n" + october.Mail()),
			"mbox#1: 27 of microsoft.test by file, true\nmbox#2: none\nmbox#3: 27 of microsoft.test by file, false"},
	} {
		if got := entries(t, r, write(t, filepath.Join(dir, name), tt.content)); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tt.want)
		}
	}
}

func TestFileReaderReadsAMaildir(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "box/new/1"), []byte(october.Mail()))
	write(t, filepath.Join(dir, "box/cur/2:2,S"), []byte("Subject: hello\n\nhello\n"))
	write(t, filepath.Join(dir, "box/tmp/3"), []byte(october.Mail())) // being written
	// A backup or another program may have made folders among the messages.
	for _, folder := range []string{"box/new/.0", "box/new/0", "box/cur/0"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	want := "box/new/1: 27 of microsoft.test by file, false\nbox/cur/2:2,S: none"
	if got := entries(t, NewFileReader(""), filepath.Join(dir, "box")); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := entries(t, NewFileReader(""), filepath.Join(dir, "box/new")); !strings.Contains(got, "is a directory but not a Maildir") {
		t.Error(got)
	}
	if err := os.RemoveAll(filepath.Join(dir, "box/new")); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, NewFileReader(""), filepath.Join(dir, "box")); !strings.Contains(got, "box/new: no such file") {
		t.Error(got)
	}
	if got := entries(t, NewFileReader(""), filepath.Join(dir, "none")); !strings.Contains(got, "no such file") {
		t.Error(got)
	}
}

func TestWithoutDNSAMessageIsUnverified(t *testing.T) {
	signed := testreport.NewSigner(t, "microsoft.test").Sign(t, october.Mail())
	for reason, reader := range map[string]FileReader{"on 127.0.0.1:1": NewFileReader("127.0.0.1:1"), "offline": NewOfflineFileReader()} {
		var e Entry
		err := reader.ReadFrom(t.Context(), "-", strings.NewReader(signed), func(found Entry) error {
			e = found
			return nil
		})
		if err != nil || e.Err != nil || e.Report.Verified || e.Report.Via != ledger.ByFile {
			t.Errorf("%s: %v, %v, verified %v", reason, err, e.Err, e.Report.Verified)
		}
		if v := e.Report.Verdict; !strings.Contains(v, "cannot be verified") || !strings.Contains(v, reason) {
			t.Errorf("%q does not mention %q", v, reason)
		}
	}
}

// Whoever wants no more, as after a full disk, gets no more.
func TestReadingEndsWithAnError(t *testing.T) {
	dir := t.TempDir()
	mbox := write(t, filepath.Join(dir, "mbox"), []byte("From a\nx\n\nFrom b\ny\n"))
	write(t, filepath.Join(dir, "box/new/1"), nil)
	write(t, filepath.Join(dir, "box/cur/2"), nil)
	for _, path := range []string{mbox, filepath.Join(dir, "box")} {
		for last := 1; last <= 2; last++ {
			n, enough := 0, errors.New("enough")
			err := NewOfflineFileReader().Read(t.Context(), path, func(Entry) error {
				if n++; n == last {
					return enough
				}
				return nil
			})
			if err != enough || n != last {
				t.Errorf("%s: %v after message %d, want the error of message %d", path, err, n, last)
			}
		}
	}
}

// A disk that fails in the middle of a file is an error of reading, not of the report.
func TestFileThatCannotBeReadToItsEnd(t *testing.T) {
	broken := iotest.ErrReader(errors.New("input/output error"))
	long := strings.Repeat("X: y\n", 1000)
	for name, r := range map[string]io.Reader{
		"message":            io.MultiReader(strings.NewReader("Subject: hello\n"), broken),
		"long message":       io.MultiReader(strings.NewReader(long), broken),
		"mbox":               io.MultiReader(strings.NewReader("From a\n"+long), broken),
		"first read is late": iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(long))),
	} {
		err := NewOfflineFileReader().ReadFrom(t.Context(), name, r, func(e Entry) error {
			t.Errorf("%s: %+v", name, e)
			return nil
		})
		if err == nil || err.Error() != "input/output error" && err != iotest.ErrTimeout {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFileThatCannotBeOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if got := entries(t, NewOfflineFileReader(), path); !strings.HasPrefix(got, "error: open "+path) {
		t.Errorf("%q", got)
	}
}

// What is read from a file has the same warnings as what is received.
func TestVerdictsAndWarningsOfFiles(t *testing.T) {
	right := october
	right.Failed, right.Successful = 0, 5
	future := right
	future.Day = time.Now().UTC().AddDate(0, 0, 2).Truncate(24 * time.Hour)
	ends := "date-range: ends at " + future.Day.Add(24*time.Hour-time.Second).Format(time.RFC3339) + ", after the report arrived"
	unnamed := strings.Replace(right.Mail(), "filename=\"microsoft.test!", "filename=\"report!", 1)
	for text, want := range map[string]string{
		future.JSON(): "read from a file that is not a signed message: " + ends,
		future.Mail(): "no DKIM signature: " + ends,
		right.Mail():  "no DKIM signature: ",
		strings.Replace(unnamed, "!ours.example!", "!", 1): `no DKIM signature: file name: "report!1729728000!1729814399!133742101483291477+ours.example.json.gz" does not have the form submitter!domain!start!end!id.json.gz`,
	} {
		err := NewOfflineFileReader().ReadFrom(t.Context(), "-", strings.NewReader(text), func(e Entry) error {
			if got := e.Report.Verdict + ": " + strings.Join(e.Report.Warnings, "\n"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			return e.Err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// messages returns the messages of an mbox, most of whose lines are longer than is read at once.
func messages(t *testing.T, text string) []string {
	t.Helper()
	return messagesIn(t, bufio.NewReaderSize(strings.NewReader(text), 16))
}

func messagesIn(t *testing.T, mbox *bufio.Reader) (all []string) {
	t.Helper()
	err := eachMessage(mbox, func(n int, _ receipt, mail []byte, err error) error {
		if n != len(all)+1 {
			t.Errorf("message %d has the number %d", len(all)+1, n)
		}
		all = append(all, string(mail))
		if err != nil {
			all[n-1] = err.Error()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMboxIsSplitAtFromLines(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                       nil,
		"From a\n":                               {""},
		"From a\nx\n\nFrom b\ny\n":               {"x\n\n", "y\n"},
		"From a\nx\nFrom here, not there\n":      {"x\nFrom here, not there\n"},
		"From a\n>From x\n>>From y\n> z\n":       {"From x\n>From y\n> z\n"},
		"From a\nno end":                         {"no end"},
		"From a\nFrom b\nx\n":                    {"From b\nx\n"},
		"From a\r\nx\r\n\r\nFrom b\r\ny\r\n":     {"x\r\n\r\n", "y\r\n"},
		"From a\n" + strings.Repeat("l", 40):     {strings.Repeat("l", 40)},
		"From " + strings.Repeat("l", 40) + "\n": {""},
	} {
		if got := messages(t, text); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	largest := strings.Repeat("0123456789abcde\n", 12<<20/16)
	if got := messagesIn(t, bufio.NewReader(strings.NewReader("From a\n"+largest))); len(got) != 1 || got[0] != largest {
		t.Errorf("12 MiB: %d messages, %.100q", len(got), got)
	}
	if got := messagesIn(t, bufio.NewReader(strings.NewReader("From a\n"+largest+"\nFrom b\ny\n"))); len(got) != 2 || got[0] != errTooLong.Error() || got[1] != "y\n" {
		t.Errorf("a message that is too large: %d messages, %.100q", len(got), got)
	}
}

func FuzzMbox(f *testing.F) {
	f.Add("From a\n>From x\n\nFrom b\ny\n")
	f.Fuzz(func(t *testing.T, text string) {
		size := 0
		for _, mail := range messages(t, text) {
			size += len(mail)
		}
		if size > len(text) {
			t.Errorf("%d bytes of messages in %d", size, len(text))
		}
	})
}

// FuzzParseMail checks that the stored content of a report can be parsed again.
func FuzzParseMail(f *testing.F) {
	f.Add([]byte(october.Mail()))
	f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha256; d=a; s=b; h=from; bh=; b=\r\n" + october.Mail()))
	f.Fuzz(func(t *testing.T, mail []byte) {
		r, _, err := parseMail(mail, nil, receipt{})
		if err != nil {
			return
		}
		if _, err := tlsrpt.Parse(bytes.NewReader(r.Content)); err != nil {
			t.Errorf("the stored content cannot be parsed: %v", err)
		}
		if r.Verified {
			t.Error("verified without a signature")
		}
	})
}
