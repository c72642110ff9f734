package oserror

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestErrorsAreSentencesWithARemedy(t *testing.T) {
	dir := t.TempDir()
	file, loop := filepath.Join(dir, "file"), filepath.Join(dir, "loop")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	read := func(name string) error {
		_, err := os.ReadFile(name)
		return err
	}
	long := strings.Repeat("x", 300)
	for _, tt := range []struct {
		err          error
		text, remedy string
	}{
		{read(dir + "/none"), dir + "/none does not exist", "check the path"},
		{fmt.Errorf("--keys: %w", read(dir+"/none")), "--keys: " + dir + "/none does not exist", "check the path"},
		{read(dir), dir + " is a folder, not a file", "name a file"},
		{read(file + "/below"), file + "/below is below a file, not a folder", "check the path"},
		{read(loop), loop + " is a link that leads back to itself", "check the links with namei -l " + loop},
		{read(long), "the name " + long + " is too long", "check the path"},
		{os.Mkdir(dir, 0o700), dir + " exists already", "remove it, or name another file"},
		{os.Link(file, dir+"/none/link"), dir + "/none/link: the folder " + dir + "/none does not exist", "check the path"},
	} {
		if got := Text(tt.err); got != tt.text {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.text)
		}
		if got := Remedy(tt.err); got != tt.remedy {
			t.Errorf("%v: got the remedy %q, want %q", tt.err, got, tt.remedy)
		}
	}
}

func TestOtherErrorsStayAsTheyAre(t *testing.T) {
	_, network := net.Dial("unix", "/nowhere/socket")
	for _, err := range []error{errors.New("x"), network, os.ErrNotExist, &os.PathError{Op: "read", Path: "x", Err: errors.New("y")}} {
		if got := Text(err); got != err.Error() || Remedy(err) != "" {
			t.Errorf("got %q and %q for %v", got, Remedy(err), err)
		}
	}
}
