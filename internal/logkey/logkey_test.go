package logkey_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestOperatingGuideExplainsEveryKey(t *testing.T) {
	source, err := os.ReadFile("logkey.go")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`= "([a-z0-9]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(keys) == 0 {
		t.Fatal("logkey.go has no keys")
	}
	for _, key := range keys {
		if !strings.Contains(string(guide), "`"+key[1]+"`") {
			t.Errorf("docs/operating.md does not explain `%s`", key[1])
		}
	}
}
