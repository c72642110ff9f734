package maildir

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestUniqueNameHasTheConventionsParts(t *testing.T) {
	now := time.Unix(1_800_000_000, 42_999)
	before := deliveries.Load()
	want := fmt.Sprintf("1800000000.M42P%dQ%d.mx.example", os.Getpid(), before+1)
	if got := uniqueName(now, "mx.example"); got != want {
		t.Errorf("name %s, want %s", got, want)
	}
	if again := uniqueName(now, "mx.example"); again == want {
		t.Error("two deliveries of one moment have one name")
	}
}

func TestHostIsEscaped(t *testing.T) {
	for host, want := range map[string]string{
		"mx-1.Example_2": "mx-1.Example_2",
		"a/b:c,d":        `a\057b\072c\054d`,
		"a b\n":          `a\040b\012`,
		"é":              `\303\251`,
	} {
		if got := escapeHost(host); got != want {
			t.Errorf("escapeHost(%q) = %s, want %s", host, got, want)
		}
	}
}
