package main

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/internal/clientsim"
)

var update = flag.Bool("update", false, "rewrite the outputs that the scripts expect")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postern-lab": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update && os.Getenv("CI") == "",
		Setup: func(env *testscript.Env) error {
			// Under the race detector a program would else wait for a second at its end.
			env.Vars = append(env.Vars, "GORACE=atexit_sleep_ms=0")
			return nil
		},
	})
}

// Whoever reads the JSON with a program finds each field explained.
func TestEachJSONFieldIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []any{matrixJSON{}, serverJSON{}, cellJSON{}, clientsim.Client{}, clientsim.Missing{}} {
		kind := reflect.TypeOf(object)
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if name == "" || !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/json.md does not explain %s of %v", kind.Field(i).Name, kind)
			}
		}
	}
}
