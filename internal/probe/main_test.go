package probe

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "16") // they wait for servers and timeouts, and hardly compute
	os.Exit(m.Run())
}
