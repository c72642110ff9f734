package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"postern/internal/testdisk"
)

// A server starts without room for mail, so it is no error.
func TestFullDiskIsAWarning(t *testing.T) {
	disk := testdisk.Mount(t, "size=48k,mode=700")
	got := mustLoad(t, write(t, "hostname = 'mx.example.org'\ndata = '"+disk+"/data'\n"), Flags{}).Warnings(time.Now(), 1000)
	if want := "postern.toml:2: data: cannot write in " + disk + ": no space left on device"; len(got) != 1 || !strings.HasSuffix(got[0].Error(), want) {
		t.Errorf("got %v, want %s", got, want)
	}
	if left, err := os.ReadDir(disk); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}
